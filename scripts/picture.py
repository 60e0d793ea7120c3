"""Draw the picture of README and docs from olfactory bulb section 1 (MIT licence), with the steps of the demo."""

from pathlib import Path

import matplotlib as mpl
from demo import BULB_LAYERS, Times, run

import histoscribe as hs

mpl.use("Agg")


def main() -> None:
    """Run the path and save the figure."""
    adata = hs.datasets.mouse_olfactory_bulb(1)
    run(adata, BULB_LAYERS, Times())
    figure = hs.pl.panels(adata, ["granule", "nerve", "domain"], ncols=4)
    path = Path(__file__).resolve().parents[1] / "docs" / "_static" / "bulb.jpg"
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, dpi=130, pil_kwargs={"quality": 85})
    print(path)


if __name__ == "__main__":
    main()
