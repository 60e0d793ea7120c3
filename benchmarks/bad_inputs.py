"""Wrong inputs and faults: what each function does with them.

Every row is a wrong input or fault that was seen in the wild or reproduced on the libraries of the field, tried on each public
function that it can reach. *Raised* is an error of histoscribe's own tree that names what is wrong and how to mend it, before anything
was written; *defined* is a result that is checked against an independent expectation; *silent* would be a wrong result without an
error. Rows that need killed processes, full disks and the like are counted once and name their tests. The rows stand in
`tests/bad_inputs`, one module a letter.
"""

import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.bad_inputs import catalogue  # noqa: E402
from tests.bad_inputs.row import Elsewhere, Row, run  # noqa: E402

_LONGEST = 260


def measure() -> dict[str, pd.DataFrame]:
    """Run all rows; a table of numbers first, then the rows of each letter."""
    import histoscribe as hs

    hs.settings.progress = False
    tables, totals = {}, []
    with tempfile.TemporaryDirectory() as folder:
        hs.settings.cache_dir = Path(folder)
        for letter, title in catalogue.TITLES.items():
            lines, counts = _letter(letter)
            tables[f"{letter}: {title}"] = pd.DataFrame(lines, columns=["id", "given", "tried on", "what happens"])
            totals.append({"letter": letter, "about": title, "rows": catalogue.SIZES[letter], **counts})
    numbers = pd.DataFrame(totals)
    whole = {"letter": "all", "about": "", **numbers.drop(columns=["letter", "about"]).sum().to_dict()}
    return {"": pd.concat([numbers, pd.DataFrame([whole])]), **tables}


def _letter(letter: str) -> tuple[list[list[str]], dict[str, int]]:
    happened: Counter[str] = Counter()
    lines, tried = [], set()
    for row in (row for row in catalogue.rows() if row.id[0] == letter):
        tried.add(row.id)
        said = _elsewhere(row, happened) if isinstance(row, Elsewhere) else _row(row, happened)
        on = ", ".join(f"`{name}`" for name in (row.tests if isinstance(row, Elsewhere) else row.tried))
        lines.append([row.id, _cell(row.given), on, _cell(said)])
    left = {name: reason for name, reason in catalogue.left_out().items() if name[0] == letter}
    lines += [[name, "", "left out", _cell(reason)] for name, reason in left.items()]
    counts = {"rows tried": len(tried), "left out": len(left), "calls": happened.total()}
    return lines, counts | {what: happened[what] for what in ("raised", "defined", "silent")}


def _row(row: Row, happened: Counter[str]) -> str:
    said = ""
    for name in row.tried:
        try:
            message = run(row, name)
        except Exception as error:  # noqa: BLE001 - counted and shown, whatever it is
            happened["silent"] += 1
            said = f"SILENT {name}: {error!r}"
            print(said, flush=True)
            continue
        happened["defined" if message == getattr(row.result, "says", None) else "raised"] += 1
        said = said or message
    return said


def _elsewhere(row: Elsewhere, happened: Counter[str]) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *row.tests]
    passed = subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0
    happened[("raised" if row.raised else "defined") if passed else "silent"] += 1
    return row.says if passed else f"SILENT {row.says}"


def _cell(text: str) -> str:
    """Text for a table of Markdown, without the folders of this machine."""
    text = re.sub(r"(/[\w.\-]+)+/(?=[\w.\-])", "…/", " ".join(text.split()))
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")
