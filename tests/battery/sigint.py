"""Run in a process of its own: real Ctrl-C at random moments; prints how the sections were found after it."""

import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from anndata import AnnData

import histoscribe as hs

from ..digest import digest
from . import material
from .calls import CALLS

NAMES = ("pp.tile", "pp.score_pathways", "pp.spatial_graph", "tl.encode_genes", "tl.embed", "tl.fuse", "tl.domains_gmm")
N = 20


def _digest(adata: AnnData) -> str:
    try:
        return digest(adata)
    except Exception:  # noqa: BLE001 - a table of pandas that is in pieces
        return "broken"


def hit(name: str, rng: random.Random) -> Counter[str]:
    """Interrupt a function N times at a random moment of its run."""
    call, found = CALLS[name], Counter[str]()
    adata = material.section()
    before = digest(adata)
    call(adata)
    after = digest(adata)
    adata = material.section()
    start = time.process_time()
    call(adata)
    lasts = time.process_time() - start
    signal.signal(signal.SIGPROF, lambda number, frame: signal.raise_signal(signal.SIGINT))
    for _ in range(N):
        adata = material.section()
        interrupted = False
        try:
            # in processor time: a moment of the run however busy the machine is
            signal.setitimer(signal.ITIMER_PROF, rng.uniform(0.02, 1) * lasts)
            call(adata)
            signal.setitimer(signal.ITIMER_PROF, 0)
        except KeyboardInterrupt:
            interrupted = True
        state = {before: "before", after: "after"}.get(_digest(adata), "between")
        found[f"{state}{' (interrupted)' if interrupted else ''}"] += 1
    return found


def main() -> None:
    """Print a line for each function: its name and counts."""
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        hs.settings.cache_dir, hs.settings.progress = Path(folder), False
        for name in NAMES:
            sys.stdout.write(f"{name} {dict(hit(name, rng))}\n")


if __name__ == "__main__":
    main()
