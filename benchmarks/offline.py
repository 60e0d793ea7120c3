"""Without a network.

What must be downloaded says so at once, with the command to run where there is a network. *Cut off*: a network namespace without
devices; *names hang*: looking up a host takes 30 s; *dead proxy*: a proxy is named that nobody listens at. Seconds are those of the
call, packages loaded. Documented workflows (README, notebooks, the demo, the pages of the documentation) are run cut off, with the
files they need in `HISTOSCRIBE_DATA`.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.without_network import KINDS, run  # noqa: E402

_LONGEST = 230


def measure() -> dict[str, pd.DataFrame]:
    """Return a table of what is missing, and one of what runs."""
    with tempfile.TemporaryDirectory() as folder:
        away = {"HISTOSCRIBE_DATA": None, "HISTOSCRIBE_CACHE": f"{folder}/cache", "HF_HOME": f"{folder}/hub"}
        found = {kind: _missing(kind, away) for kind in KINDS}
        whole = _workflows(Path(folder))
    first = found[KINDS[0]]
    rows = [
        [name, line["error"], *(f"{found[kind][name]['seconds']:.2f}" for kind in KINDS), _cell(line["said"], folder)]
        for name, line in first.items()
    ]
    return {
        "Downloads that are missing": pd.DataFrame(
            rows, columns=["call", "error", *(f"{k}, s" for k in KINDS), "what it says"]
        ),
        "Workflows, cut off": pd.DataFrame(whole, columns=["what", "outcome", "seconds"]),
    }


def _missing(kind: str, away: dict[str, str | None]) -> dict[str, dict]:
    done = run(["-m", "tests.missing_downloads"], kind, changes=away)
    print(f"  {kind}: exit {done.code} after {done.seconds:.0f} s", done.err[-500:], flush=True)
    return {line["what"]: line for line in map(json.loads, done.out.splitlines())}


def _workflows(folder: Path) -> list[list[str]]:
    scripts = {
        "scripts/demo.py": ["scripts/demo.py", str(folder / "demo")],
        "tutorials (scripts/run_tutorials.py)": ["scripts/run_tutorials.py"],
        "README": ["-m", "tests.readme_code"],
        "page: what can go wrong": ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_what_can_go_wrong.py"],
    }
    changes: dict[str, str | None] = {
        "HISTOSCRIBE_CACHE": f"{folder}/cache",
        "HF_HOME": f"{folder}/hub",
        "MPLBACKEND": "Agg",
    }
    rows = []
    for name, arguments in scripts.items():
        done = run(arguments, changes=changes)
        print(f"  {name}: exit {done.code} after {done.seconds:.0f} s", flush=True)
        rows.append(
            [name, "runs" if done.code == 0 else f"FAILS: {done.err.strip().splitlines()[-1]}", f"{done.seconds:.0f}"]
        )
    return rows


def _cell(text: str, folder: str) -> str:
    text = re.sub(r"\s+", " ", text.replace(folder, "…"))
    return (text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …").replace("|", "\\|")
