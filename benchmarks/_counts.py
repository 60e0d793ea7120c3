"""What the benchmarks of counts share: the counts, and a process of its own for each way."""

import os
import subprocess
import sys

import pandas as pd

COUNTS = """
import sys, time
import numpy as np, scipy.sparse as sp
from anndata import AnnData

def peak():  # not getrusage, which starts from the parent's peak
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024

def counts(n, g, density=0.078, drawn=1000):  # the first rows are drawn, the others repeat them
    rng = np.random.default_rng(0)
    rate = rng.lognormal(0, 2, g)
    rate /= rate.sum()
    depths = np.geomspace(1, 1e6, 200)
    depth = depths[np.searchsorted([(1 - np.exp(-d * rate)).mean() for d in depths], density)]
    block = sp.csr_matrix(rng.poisson(depth * rng.lognormal(0, 0.3, (drawn, 1)) * rate).astype(np.float32))
    times = -(-n // drawn)
    indptr = np.concatenate([[0], np.cumsum(np.tile(np.diff(block.indptr), times))]).astype(np.int64)
    x = sp.csr_matrix((np.tile(block.data, times), np.tile(block.indices, times), indptr), shape=(times * drawn, g))
    return x[:n] if n < x.shape[0] else x
"""
_AROUND = """
{counts}
n, g = {n}, {g}
x = counts(n, g)
{prepare}
before, cpu, start = peak(), time.process_time(), time.perf_counter()
{how}
print(time.perf_counter() - start, time.process_time() - cpu, peak() - before, {check})
"""


def run(prepare: str, how: str, check: str, *, n: int, g: int) -> tuple[float, float, float, float]:
    """Wall and processor seconds and memory of a way in a process of its own, on one thread, and a number it found."""
    code = _AROUND.format(counts=COUNTS, n=n, g=g, prepare=prepare, how=how, check=check)
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(names, "1")}
    command = [sys.executable, "-W", "ignore", "-c", code]
    found = subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout.split()
    wall, cpu, megabytes, value = (float(number) for number in found[-4:])
    return wall, cpu, megabytes, value


def table(runs: dict[str, list[tuple[float, float, float, float]]], rivals: dict[str, str]) -> pd.DataFrame:
    """One row a way: seconds of the best run, spread, memory, and how many times its rival's processor time it takes."""
    best = {name: min(found, key=lambda run: run[1]) for name, found in runs.items()}
    rows = []
    for name, (wall, cpu, megabytes, _) in best.items():
        worst = max(run[1] for run in runs[name])
        ratio = f"{cpu / best[rivals[name]][1]:.1f}" if name in rivals else "1"
        rows.append((name, f"{wall:.2f}", f"{cpu:.2f}", f"{worst:.2f}", f"{megabytes:.0f}", ratio))
    columns = ["how", "wall s (best)", "cpu s (best)", "cpu s (worst)", "memory, MB", "cpu s, times ours"]
    return pd.DataFrame(rows, columns=columns)
