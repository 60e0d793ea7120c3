"""Run the tutorials as a user would; ``--write`` keeps their outputs in the notebooks."""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parents[1] / "tutorials"


def main() -> None:
    """Run each notebook in a kernel of its own; the first error ends it all."""
    if not os.environ.get("HISTOSCRIBE_DATA"):
        print("Skipped: the tutorials need real sections, and HISTOSCRIBE_DATA names no folder of them.")
        return
    for path in sorted(ROOT.glob("*.ipynb")):
        start = time.perf_counter()
        notebook = nbformat.read(path, as_version=4)
        NotebookClient(
            notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(ROOT)}}
        ).execute()
        if "--write" in sys.argv[1:]:
            for cell in notebook.cells:
                cell.metadata.pop("execution", None)
            nbformat.write(notebook, path)
        print(f"{path.name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
