"""The code of the README, run as it is printed. Run as ``python -m tests.readme_code``."""

import ast
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl

import histoscribe as hs
from histoscribe._errors import OfflineError

README = Path(__file__).resolve().parents[1] / "README.md"


def blocks() -> list[str]:
    """The pieces of Python, in order."""
    return re.findall(r"^```python\n(.*?)^```", README.read_text(), flags=re.MULTILINE | re.DOTALL)


def main() -> list[str]:
    """Run them one after the other; return the lines that need weights, which are not here, and say so."""
    mpl.use("Agg")
    names: dict[str, Any] = {}
    missing = []
    for block in blocks():
        for statement in ast.parse(block).body:
            code = ast.unparse(statement)
            if "sections" in code and "sections" not in names:  # "your sections", in the text
                names["sections"] = [sections(k) for k in (1, 2)]
            try:
                exec(compile(code, str(README), "exec"), names)
            except OfflineError as error:
                missing.append(f"{code}: {error}")
    return missing


def sections(number: int) -> Any:
    """Return a section with what the lines before made of the first one."""
    adata = hs.datasets.toy(n_slides=2)[number - 1]
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "mean_rgb")
    return adata


if __name__ == "__main__":
    for line in main():
        print(line)  # noqa: T201
