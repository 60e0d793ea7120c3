"""Ways to run a call that must not change its numbers: batches, workers, threads, processes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

import histoscribe as hs

from . import material
from .outcome import Outcome

ROOT = Path(__file__).resolve().parents[2]

PROMISED = 1e-4  # of vectors, whatever the batches, workers and threads

ENCODED: dict[str, dict[str, Any]] = {
    "batch_size": {"batch_size": 1},
    "batch_size, last one short": {"batch_size": 7},
    "num_workers": {"batch_size": 9, "num_workers": 2},
}


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Let torch use n threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def network() -> Any:
    """A vision transformer with random weights."""
    import timm
    import torch

    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("test_vit", num_classes=0, img_size=64).eval()


def encoded(encoder: Any, n_threads: int = 1, **options: Any) -> Outcome:
    """Image vectors of a section."""
    adata: AnnData = material.section()[:24].copy()
    with threads(n_threads):
        hs.tl.encode_image(adata, encoder, cache=False, **options)
    return {"X_image": np.asarray(adata.obsm["X_image"])}


def fused(n_threads: int = 1, **options: Any) -> Outcome:
    """Fused vectors of a section, after training."""
    adata = material.section()
    with threads(n_threads):
        train = hs.nn.TrainConfig(epochs=3, val_fraction=0, batch_size=16, **options)
        hs.tl.fuse(adata, material.config(), train=train, key_added="X_new")
    return {"X_new": np.asarray(adata.obsm["X_new"])}


VARIED: dict[str, tuple[Callable[..., Outcome], dict[str, dict[str, Any]]]] = {
    "tl.encode_image, stain_stats": (lambda **o: encoded("stain_stats", **o), ENCODED),
    "tl.encode_image, a vision transformer": (
        lambda **o: encoded(hs.nn.load_encoder(network(), mpp=1.0), **o),
        {**ENCODED, "threads": {"n_threads": 2}},
    ),
    "tl.fuse": (fused, {"num_workers": {"num_workers": 1}, "threads": {"n_threads": 2}}),
}


def elsewhere(*names: str, hash_seed: str, n_threads: str) -> dict[str, str]:
    """Digests of the outcomes of all calls, or of those named, in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "OMP_NUM_THREADS": n_threads, "MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.battery.digests", *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found
