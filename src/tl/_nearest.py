"""Exact search for the nearest vectors, in memory that does not grow with how many are searched."""

import numpy as np
from numpy.typing import NDArray

_QUERIES, _VECTORS = 512, 8192  # rows at a time
_STEPS = 10**6  # of the cosine: float32 vectors carry no more decimals


def nearest(
    queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Rows of ``vectors`` nearest to each query, nearest first, and their cosines to six decimals, both (n, k).

    Cosines that agree to six decimals are equal, and the earlier row goes first: what is left of a product in floating
    point depends on where in a block a row lies. Where there are fewer than ``k`` vectors, all are found.
    """
    n, k = len(vectors), min(k, len(vectors))
    found = [_best(_unit(queries[start : start + _QUERIES]), vectors, k) for start in range(0, len(queries), _QUERIES)]
    ranks = np.concatenate(found)
    return n - 1 - ranks % n, ranks // n / _STEPS


def _best(queries: NDArray[np.float64], vectors: NDArray[np.float32], k: int) -> NDArray[np.int64]:
    """Largest ranks of each query (q, k), falling. A rank is cosine and row in one whole number, so that no two tie."""
    n, best = len(vectors), np.empty((len(queries), 0), dtype=np.int64)
    for start in range(0, n, _VECTORS):
        block = _unit(vectors[start : start + _VECTORS])
        steps = np.rint(queries @ block.T * _STEPS).astype(np.int64)  # q d, d b -> q b
        ranks = np.concatenate([best, steps * n + n - 1 - start - np.arange(len(block))], axis=1)
        best = np.partition(ranks, -k, axis=1)[:, -k:] if ranks.shape[1] > k else ranks
    return np.sort(best, axis=1)[:, ::-1]


def _unit(x: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = x.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return wide / np.where(length > 0, length, 1)
