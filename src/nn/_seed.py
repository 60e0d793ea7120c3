"""Random states: seeded inside a block, given back as they were after it."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def reseed(*entropy: int) -> None:
    """Seed torch, numpy and Python from a tuple of whole numbers."""
    seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 (third parties draw from it)
    random.seed(seed)


@contextmanager
def seeded(*entropy: int) -> Iterator[None]:
    """Run a block under a seed; the caller's random states are untouched by it."""
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            reseed(*entropy)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
