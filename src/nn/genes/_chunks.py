"""Chunks of a corpus: what is held at a time, and how much of an epoch it makes."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._corpus import Corpus

CHUNK_SPOTS = 1 << 16
MIXED_SPOTS = 1 << 18


class Chunk(NamedTuple):
    """Spots of one section that follow each other along its curve."""

    section: int
    start: int
    stop: int
    n_chosen: int


def chunks_of(corpus: Corpus, chosen: NDArray[np.bool_]) -> list[Chunk]:
    """Cut each section into chunks of about equal size; those without a chosen spot are left out."""
    chunks = []
    for section, (first, end, _) in enumerate(corpus.sections):
        n = -(-(end - first) // CHUNK_SPOTS)
        bounds = np.linspace(first, end, n + 1).astype(int).tolist()
        for start, stop in pairwise(bounds):
            chunks.append(Chunk(section, start, stop, int(chosen[start:stop].sum())))
    return [chunk for chunk in chunks if chunk.n_chosen]


def mixes(chunks: Sequence[Chunk], n_batches: int) -> Iterator[tuple[list[Chunk], int]]:
    """Yield chunks that are mixed, in order, and how many of the batches they make: one at least."""
    sizes = np.array([chunk.n_chosen for chunk in chunks])
    total = int(sizes.sum())
    wanted = max(1, min(n_batches, total // MIXED_SPOTS))
    mix = (np.cumsum(sizes) - sizes) * wanted // max(total, 1)
    numbers = np.unique(mix)
    shares = np.cumsum([sizes[mix == number].sum() for number in numbers]) / max(total, 1)
    ends = np.rint(shares * (n_batches - len(numbers))).astype(int)
    for number, extra in zip(numbers, np.diff(ends, prepend=0), strict=True):
        yield [chunks[k] for k in np.flatnonzero(mix == number).tolist()], int(extra) + 1
