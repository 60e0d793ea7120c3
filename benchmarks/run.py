"""Measure everything, or what is named on the command line, and write the tables of docs/results."""

import importlib
import platform
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "results"
NAMES = (
    "bad_inputs",
    "invariance",
    "kills",
    "training",
    "fuzz",
    "offline",
    "her2st_labels",
    "gene_encoder_labels",
    "gene_encoder_toy",
    "gene_encoder_robustness",
    "gene_encoder",
    "gene_stream",
    "image_to_expression",
    "alignment",
    "alignment_toy",
    "alignment_losses",
    "alignment_pairs",
    "alignment_profile",
    "token_ranks",
    "registration",
    "planted_truth",
    "whitening",
    "tokens",
    "pathways",
    "patches",
    "vit",
    "features",
    "hd_bins",
    "import_time",
)


def main() -> None:
    """Run the benchmarks and write a page for each."""
    sys.path.insert(0, str(HERE))
    for name in sys.argv[1:] or NAMES:
        module = importlib.import_module(name)
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        measured = module.measure()
        if measured is None:
            print("  skipped: its data are not here")
            continue
        tables = measured if isinstance(measured, dict) else {"": measured}
        for title, table in tables.items():
            print(title, table.to_string(index=False), sep="\n")
        (RESULTS / f"{name}.md").write_text(_page(name, module.__doc__, tables))


def _page(name: str, doc: str, tables: dict[str, pd.DataFrame]) -> str:
    title, _, rest = doc.strip().partition("\n")
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    made = f"Made by `make bench` or `python benchmarks/run.py {name}` ({machine}, 2 cores)."
    parts = [line for heading, table in tables.items() for line in _lines(heading, table)]
    return "\n".join([f"# {title.rstrip('.')}", rest, "", *parts, made, ""])


def _lines(heading: str, table: pd.DataFrame) -> list[str]:
    rows = ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    head = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * table.shape[1]]
    return [*([f"## {heading}", ""] if heading else []), *head, *rows, ""]


if __name__ == "__main__":
    main()
