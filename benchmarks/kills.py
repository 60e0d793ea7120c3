"""Processes killed while they write: what a reader finds afterwards.

Each writer is killed (SIGKILL) 50 times, each time at a moment drawn uniformly over the time that a whole write takes. Then a process
of its own reads: it must find what was there before or what was to be written, compared by content. *Lost*: nothing is there any
more. *Unreadable*: an error. *Silently wrong*: something that nobody wrote, without an error. *Litter*: files left after the next
write. Caches may be empty, but what they hold must be right; a checkpoint must lead to the weights of a run that nobody killed.
`tests/kill_writers.py` holds the writers; `tests/test_kills.py` kills each 8 times.
"""

import sys
import tempfile
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.kill_writers import OTHERS, OURS, prepare
from tests.kills import kill

N_KILLS = 50


def measure() -> dict[str, pd.DataFrame]:
    """Kill every writer."""
    prepare()
    tables = {}
    for title, writers in {"histoscribe": OURS, "others, at the same size": OTHERS}.items():
        rows = []
        for writer in writers:
            with tempfile.TemporaryDirectory() as folder:
                found = kill(writer, Path(folder), N_KILLS)
            rows.append(
                {
                    "writer": f"`{found.writer}`",
                    "kills": found.kills,
                    "within the write": found.inside,
                    "lost": found.lost,
                    "unreadable": found.unreadable,
                    "silently wrong": found.mixed,
                    "litter": found.litter,
                }
            )
            print(rows[-1], found.says[:3], flush=True)
        tables[title] = pd.DataFrame(rows)
    return tables
