"""Measure everything, or what is named on the command line, and write the tables of docs/results."""

import importlib
import platform
import sys
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "docs" / "results"
NAMES = ("import_time", "patches", "planted_truth", "whitening")


def main() -> None:
    """Run the benchmarks and write a page for each."""
    sys.path.insert(0, str(HERE))
    for name in sys.argv[1:] or NAMES:
        module = importlib.import_module(name)
        print(f"{name}: {module.__doc__.splitlines()[0]}", flush=True)
        table = module.measure()
        if table is None:
            print("  skipped: its data are not here")
            continue
        print(table.to_string(index=False))
        (RESULTS / f"{name}.md").write_text(_page(name, module.__doc__, table))


def _page(name: str, doc: str, table: pd.DataFrame) -> str:
    title, _, rest = doc.strip().partition("\n")
    machine = f"{platform.machine()}, Python {platform.python_version()}"
    rows = ["| " + " | ".join(map(str, row)) + " |" for row in table.itertuples(index=False)]
    head = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * table.shape[1]]
    made = f"Made by `make bench` or `python benchmarks/run.py {name}` ({machine}, 2 cores)."
    return "\n".join([f"# {title.rstrip('.')}", rest, "", *head, *rows, "", made, ""])


if __name__ == "__main__":
    main()
