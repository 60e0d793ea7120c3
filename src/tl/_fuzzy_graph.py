"""UMAP's neighbour graph by exact neighbours, without the compilation of umap-learn and pynndescent."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_STEPS = 64
_TOLERANCE = 1e-5  # of the sum of a row's weights
_LEAST_SCALE = 1e-3  # of the mean distance


def fuzzy_graph(x: NDArray[np.float64], n_neighbors: int) -> sp.csr_matrix:
    """Fuzzy union of the weighted neighbourhoods of all rows (McInnes et al. 2018), as scanpy's neighbors gives it.

    Parameters
    ----------
    x
        Vectors (n, d).
    n_neighbors
        Size of a neighbourhood, the row itself included.

    Returns
    -------
    Symmetric weights (n, n) from 0 to 1.
    """
    from sklearn.neighbors import NearestNeighbors

    n, k = len(x), n_neighbors - 1
    distances, near = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x).kneighbors()  # n k, without the row
    weights = _memberships(distances)
    directed = sp.csr_matrix((weights.ravel(), near.ravel(), np.arange(n + 1) * k), shape=(n, n))
    directed.eliminate_zeros()
    both = directed.multiply(directed.T)
    return sp.csr_matrix(directed + directed.T - both)


def _memberships(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights exp(-(d - nearest) / scale), with the scale of a row such that its weights sum to log2 of its size."""
    there = distances > 0
    nearest = np.where(there, distances, np.inf).min(axis=1)
    nearest[~there.any(axis=1)] = 0
    beyond = np.maximum(distances - nearest[:, None], 0)
    scale = np.maximum(_scales(beyond, np.log2(distances.shape[1] + 1)), _LEAST_SCALE * _typical(distances, nearest))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where((beyond <= 0) | (scale[:, None] == 0), 1.0, np.exp(-beyond / scale[:, None]))


def _typical(distances: NDArray[np.float64], nearest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean distance of each row, itself included; that of all rows if all its neighbours lie on it."""
    sizes = distances.shape[1] + 1
    return np.where(nearest > 0, distances.sum(axis=1) / sizes, distances.sum() / (len(distances) * sizes))


def _scales(beyond: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """Bisect all rows at once."""
    low, high, scale = np.zeros(len(beyond)), np.full(len(beyond), np.inf), np.ones(len(beyond))
    unsettled = np.ones(len(beyond), dtype=bool)
    for _ in range(_STEPS):
        excess = np.exp(-beyond / scale[:, None]).sum(axis=1) - total
        unsettled &= np.abs(excess) >= _TOLERANCE
        if not unsettled.any():
            break
        high = np.where(unsettled & (excess > 0), scale, high)
        low = np.where(unsettled & (excess <= 0), scale, low)
        scale = np.where(unsettled, np.where(np.isinf(high), 2 * scale, (low + high) / 2), scale)
    return scale
