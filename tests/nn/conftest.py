"""Rows of image and gene vectors with a shared and two private parts."""

import multiprocessing
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from histoscribe.nn._data import Batch


def planted(n: int, seed: int = 0) -> tuple[Batch, dict[str, np.ndarray]]:
    """Vectors that share three continuous factors; groups known to the image alone and to the genes alone."""
    rng = np.random.default_rng(seed)
    maps = np.random.default_rng(99)
    shared, of_image, of_genes = rng.normal(size=(n, 3)), rng.integers(0, 2, n), rng.integers(0, 2, n)
    image = np.column_stack([shared, 6 * of_image]) @ maps.normal(size=(4, 20)) + 0.3 * rng.normal(size=(n, 20))
    image = image * np.exp(maps.normal(0, 3, 20)) + maps.normal(0, 10, 20)  # units of their own
    genes = np.column_stack([shared, 6 * of_genes]) @ maps.normal(size=(4, 15)) + 0.3 * rng.normal(size=(n, 15))
    batch = {
        "image": torch.from_numpy(image).float(),
        "genes": torch.from_numpy(genes).float(),
        "image_valid": torch.ones(n, dtype=torch.bool),
        "genes_valid": torch.ones(n, dtype=torch.bool),
        "boxes": torch.full((n, 4), float("nan")),
        "section": torch.zeros(n, dtype=torch.int64),
    }
    return batch, {"image": of_image, "genes": of_genes, "both": 2 * of_image + of_genes}


@pytest.fixture
def batch() -> Batch:
    return planted(240)[0]


DEADLINE_S = 300


@pytest.fixture
def deadline() -> Iterator[None]:
    """Fail a test whose processes wait for each other for ever, and end them."""

    def ring(*_: Any) -> None:
        msg = f"not done after {DEADLINE_S} s"
        raise TimeoutError(msg)

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(DEADLINE_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        for child in multiprocessing.active_children():
            child.kill()
            child.join()


@pytest.fixture
def two_threads() -> Iterator[None]:
    """Torch with two threads, so that one that is left behind is seen."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(before)
