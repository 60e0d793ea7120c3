"""Import time.

Seconds until the prompt comes back, in a fresh interpreter; median of five, after one to warm the disk. histoscribe loads
anndata, torch, scanpy and timm only when something that needs them is used.
"""

import statistics
import subprocess
import sys
import time

import pandas as pd

STATEMENTS = {
    "python alone": "pass",
    "import histoscribe": "import histoscribe",
    "histoscribe.pp": "import histoscribe; histoscribe.pp",
    "histoscribe.pl": "import histoscribe; histoscribe.pl",
    "histoscribe.tl": "import histoscribe; histoscribe.tl",
    "scanpy, squidpy, torch, timm": "import scanpy, squidpy, torch, timm",
}


def _seconds(statement: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-W", "ignore", "-c", statement], check=True)
    return time.perf_counter() - start


def measure() -> pd.DataFrame:
    """Return a row for each statement, with its ratio to the last one."""
    medians = {name: statistics.median([_seconds(s) for _ in range(6)][1:]) for name, s in STATEMENTS.items()}
    last = medians["scanpy, squidpy, torch, timm"]
    rows = [(name, f"{value:.2f}", f"{value / last:.3f}") for name, value in medians.items()]
    return pd.DataFrame(rows, columns=["what", "seconds", "share of the last row"])
