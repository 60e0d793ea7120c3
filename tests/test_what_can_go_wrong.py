"""The page "what can go wrong" is run: each piece of code, the message that it shows, and the way out."""

import re
import warnings
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

import histoscribe as hs

from .bad_inputs import sections
from .toys import cached_toy

PAGE = Path(__file__).resolve().parents[1] / "docs" / "what_can_go_wrong.md"
ENTRIES = dict(re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE.read_text(), flags=re.MULTILINE | re.DOTALL))

pytestmark = [
    pytest.mark.usefixtures("_apart"),
]


@pytest.fixture
def _apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HISTOSCRIBE_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


def _normalised() -> dict[str, Any]:
    adata = sections.plain()
    raw = adata.copy()
    raw.X = raw.layers["counts"].copy()
    del adata.layers["counts"]
    adata.X = np.log1p(raw.X.toarray() / 7)
    return {"adata": adata, "raw": raw}


def _ensembl() -> dict[str, Any]:
    adata = sections.plain()
    symbols = list(adata.var_names)
    adata.var_names = [f"ENSG{k:011d}" for k in range(adata.n_vars)]
    return {"adata": adata, "gene_sets": sections.gene_sets(), "symbols": symbols}


def _twice() -> dict[str, Any]:
    adata = sections.plain()
    adata.var_names = [*adata.var_names[:-1], adata.var_names[0]]
    return {"adata": adata}


def _other_panel() -> dict[str, Any]:
    adata = sections.plain()
    adata.var_names = [f"panel{k}" for k in range(adata.n_vars)]
    return {"adata": adata, "vocabulary": sections.vocabulary()}


def _no_scale() -> dict[str, Any]:
    adata = sections.plain()
    image = next(iter(adata.uns.pop("spatial").values()))["images"]["hires"]
    return {"adata": adata, "image": image}


def _two() -> dict[str, Any]:
    return dict(zip(("one", "two"), cached_toy(n_slides=2, n_spots=40, n_genes=200), strict=True))


def _unnamed() -> dict[str, Any]:
    adata = anndata.concat(list(_two().values()), uns_merge="unique")
    adata.obs = adata.obs.rename(columns={"library_id": "sample"})
    return {"adata": adata}


def _moved(tmp_path: Path) -> dict[str, Any]:
    from PIL import Image

    adata = sections.plain()
    (entry,) = adata.uns["spatial"].values()
    path, moved = tmp_path / "he.png", tmp_path / "elsewhere.png"
    Image.fromarray(entry["images"].pop("hires")).save(path)
    hs.io.link_image(adata, path, mpp=entry["metadata"]["mpp"])
    path.rename(moved)
    return {"adata": adata, "moved": moved}


def _deep() -> dict[str, Any]:
    adata = sections.prepared()
    (entry,) = adata.uns["spatial"].values()
    scan = entry["images"]["hires"].astype(np.uint16) * 257
    entry["images"]["hires"] = scan
    return {"adata": adata, "scan": scan, "mpp": entry["metadata"]["mpp"]}


def _order() -> dict[str, Any]:
    return {"adata": sections.prepared(), "quick": hs.nn.TrainConfig(epochs=1, val_fraction=0)}


def _no_patients() -> dict[str, Any]:
    adata = sections.prepared()
    del adata.obs["patient"]
    return {"adata": adata}


def _pickle(tmp_path: Path) -> dict[str, Any]:
    import timm
    import torch

    torch.save(timm.create_model("vit_tiny_patch16_224").state_dict(), tmp_path / "weights.pth")
    return {}


def _broken(tmp_path: Path) -> dict[str, Any]:
    hs.io.write(sections.prepared(), tmp_path / "section.zarr")
    for chunk in (tmp_path / "section.zarr" / "obsm" / "X_image").rglob("[0-9c]*"):
        if chunk.is_file():
            chunk.unlink()
    return {}


def _written(tmp_path: Path) -> dict[str, Any]:
    hs.io.write(sections.plain(), tmp_path / "section.h5ad")
    return {}


SETUPS: dict[str, Callable[..., dict[str, Any]]] = {
    "The counts are no longer counts": _normalised,
    "Names of another kind": _ensembl,
    "A gene twice": _twice,
    "Sections of another panel": _other_panel,
    "Nobody knows how large a pixel is": _no_scale,
    "`anndata.concat` lost the images": _two,
    "Two sections, and nobody says which spot is whose": _unnamed,
    "The image is not where it was": _moved,
    "The image is not 8-bit RGB": _deep,
    "Image and spots do not belong together": lambda: {"adata": sections.plain()},
    "A step before this one was not run": _order,
    "No patients, no honest probe": _no_patients,
    "A name that nobody knows": lambda: {},
    "No network": lambda: {},
    "Weights that are a pickle": _pickle,
    "A file is broken": _broken,
    "Something that no file can hold": lambda: {"adata": sections.plain()},
    "A backed AnnData": _written,
}


def _shown(message: str, tmp_path: Path) -> str:
    """Message as the page has it: without folders of this machine."""
    return re.sub(rf"{re.escape(str(tmp_path))}(/hub)?(?=/|\b)", "…", message)


def play(name: str, tmp_path: Path) -> list[tuple[str, str]]:
    """Run an entry; return what its text blocks say beside what was really said."""
    setup = SETUPS[name]
    given = setup(tmp_path) if signature(setup).parameters else setup()
    space, said, pairs = {"hs": hs, "anndata": anndata, **given}, "", []
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```", ENTRIES[name], flags=re.MULTILINE | re.DOTALL):
        if kind == "text":
            pairs.append((block.strip(), said))
            said = ""
            continue
        assert not said, said  # an error that the page does not show
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("ignore")  # what others warn of
                warnings.simplefilter("always", UserWarning)
                exec(block, space)
            said = "\n".join(
                _shown(f"UserWarning: {w.message}", tmp_path) for w in caught if type(w.message) is UserWarning
            )
        except hs._errors.HistoscribeError as error:
            said = _shown(f"{type(error).__name__}: {error}", tmp_path)
    assert not said, said
    return pairs


def test_every_entry_is_run() -> None:
    assert set(ENTRIES) == set(SETUPS)


@pytest.mark.parametrize("name", SETUPS)
def test_the_page_shows_what_is_said_and_the_way_out_works(name: str, tmp_path: Path) -> None:
    for shown, said in play(name, tmp_path):
        assert shown == said
