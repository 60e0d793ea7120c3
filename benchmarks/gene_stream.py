"""A corpus larger than memory.

1 and 4 million synthetic spots in .h5ad files: sections of 250,000 spots 16 um apart, and five of 50,000 spots 100 um apart; about 70
of 2,000 genes a spot. Files are read by blocks of rows: the vocabulary is fitted, the tokens are written to the cache, a
`GeneEncoder.tiny(n_tokens=128)` is trained for 50 steps of 256 spots, and vectors are written into the first two files, half a million
spots. Each step runs in a process of its own, on one thread; memory is its peak above what it held after imports.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray

SIZES = {"1 million": (3, 5), "4 million": (15, 5)}  # sections of 250,000 and of 50,000 spots
DENSE, DENSE_UM, WIDE, WIDE_UM = 250_000, 16.0, 50_000, 100.0
GENES, DRAWN, MPP, AT_ONCE, STEPS, ENCODED = 2_000, 105, 0.5, 50_000, 50, 2

# Writing 5 to clear_refs sets the peak back to what is held now.
_AROUND = """
import itertools, sys, time
from pathlib import Path
import anndata, h5py, lightning, numba, numpy as np, torch
import histoscribe as hs
from histoscribe.nn._fit import fit
from histoscribe.nn.genes._groups import GroupRows
from histoscribe.pp._tokens import TokenOptions
from histoscribe.tl._pretrain_genes import _vocabulary
from histoscribe.tl._token_parts import corpus_of

def held(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what)) / 1024

class First(GroupRows):
    def batches(self, *args):
        return Few(super().batches(*args))

class Few:
    def __init__(self, batches):
        self.batches = batches
    def __len__(self):
        return STEPS
    def __iter__(self):
        return itertools.islice(iter(self.batches), STEPS)

STEPS = {steps}
torch.set_num_threads(1)
hs.settings.progress = False
hs.settings.cache_dir = sys.argv[1] + "/cache"
paths = sorted(Path(sys.argv[1]).glob("*.h5ad"))
config = hs.nn.GeneEncoder.tiny(n_tokens=128, context="set", intrinsic_share=0)
kept = Path(sys.argv[1]) / "vocabulary.json"
options = TokenOptions(config.n_tokens, "mean", None, "library_id")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
start, at_first = time.perf_counter(), held("VmRSS")
{step}
print(time.perf_counter() - start, held("VmHWM") - at_first)
"""
_TRAINING = f"{STEPS} steps of training"
_STEPS = {
    "vocabulary and tokens": """
vocabulary = _vocabulary(paths, None, "library_id")
kept.write_text(vocabulary.to_json())
corpus, _ = corpus_of(paths, vocabulary, options)
""",
    _TRAINING: """
vocabulary = hs.pp.Vocabulary.from_json(kept.read_text())
corpus, _ = corpus_of(paths, vocabulary, options)
usable = np.concatenate([corpus.lengths(a, b) > 0 for a, b, _ in corpus.sections])
rows = First(corpus, usable, size=config.group_size)
meta = {"sizes": {"tokens": vocabulary.n_tokens}, "vocabulary": vocabulary.to_json(), "rank": "mean"}
model = hs.nn.Model.new(config, meta)
model.history = fit(model.module, rows, hs.nn.TrainConfig(epochs=1, batch_size=256, val_fraction=0), device="cpu")
model.save(sys.argv[1] + "/model")
""",
    "vectors into the files": """
hs.tl.encode_genes(paths[:{encoded}], hs.nn.load(sys.argv[1] + "/model"), device="cpu")
""",
}


def _section(path: Path, name: str, n: int, pitch_um: float, seed: int) -> None:
    """Write a square section, a block of rows at a time."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    xy = np.column_stack([np.arange(n) % side, np.arange(n) // side]) * pitch_um / MPP
    share = rng.permutation(1 / np.arange(1, GENES + 1))
    cumulative = np.cumsum(share / share.sum())
    obs = pd.DataFrame({"library_id": pd.Categorical([name] * n)}, index=np.arange(n).astype(str))
    uns = {"spatial": {name: {"metadata": {"mpp": MPP}}}}
    with h5py.File(path, "w") as root:
        root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        empty: dict[str, dict[str, object]] = {key: {} for key in ("layers", "obsp", "varm", "varp")}
        held = {"obs": obs, "var": pd.DataFrame(index=[f"G{k}" for k in range(GENES)]), "uns": uns, **empty}
        for key, value in {**held, "obsm": {"spatial": xy}, "X": _counts(rng, cumulative, min(AT_ONCE, n))}.items():
            ad.io.write_elem(root, key, value)
        x = ad.io.sparse_dataset(root["X"])
        for start in range(AT_ONCE, n, AT_ONCE):
            x.append(_counts(rng, cumulative, min(AT_ONCE, n - start)))


def _counts(rng: np.random.Generator, cumulative: NDArray[np.float64], n: int) -> sp.csr_matrix:
    drawn = np.minimum(np.searchsorted(cumulative, rng.random(n * DRAWN)), GENES - 1)
    ones = np.ones(len(drawn), dtype=np.float32)
    return sp.coo_matrix((ones, (np.repeat(np.arange(n), DRAWN), drawn)), shape=(n, GENES)).tocsr()


def _corpus(folder: Path, dense: int, wide: int) -> list[int]:
    sizes = [(DENSE, DENSE_UM)] * dense + [(WIDE, WIDE_UM)] * wide
    for k, (n, pitch) in enumerate(sizes):
        _section(folder / f"{k:02}.h5ad", f"S{k}", n, pitch, k)
    return [n for n, _ in sizes]


def _measured(step: str, folder: Path) -> tuple[float, float]:
    """Seconds, and MB above what was held after imports, of a step."""
    code = _AROUND.format(steps=STEPS, step=step.replace("{encoded}", str(ENCODED)))
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    env = {**os.environ, **dict.fromkeys(threads, "1")}
    command = [sys.executable, "-W", "ignore", "-c", code, str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env)
    seconds, megabytes = map(float, done.stdout.split()[-2:])
    return seconds, megabytes


def measure() -> pd.DataFrame:
    """Return seconds and memory of each step, for each size."""
    rows = []
    for size, sections in SIZES.items():
        folder = Path(tempfile.mkdtemp())
        try:
            sizes = _corpus(folder, *sections)
            for name, step in _STEPS.items():
                seconds, megabytes = _measured(step, folder)
                n = sum(sizes[:ENCODED] if "vectors" in name else sizes)
                rate = f"{n / seconds:,.0f}" if name != _TRAINING else "-"
                rows.append((size, name, f"{n:,}", f"{seconds:.1f}", rate, f"{megabytes:,.0f}"))
                print(*rows[-1], flush=True)
        finally:
            shutil.rmtree(folder)
    return pd.DataFrame(rows, columns=["corpus", "step", "spots", "seconds", "spots/s", "memory above imports, MB"])
