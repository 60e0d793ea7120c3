"""What a corpus says of each gene: one pass over the counts, without a copy."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._jit import Array, kernel, plain_csr


class GeneSums(NamedTuple):
    """Sums over spots, by gene (g,)."""

    scaled: NDArray[np.float64]
    counts: NDArray[np.float64]
    n_nonzero: NDArray[np.int64]


def gene_sums(counts: sp.csr_matrix, sums: GeneSums | None = None) -> GeneSums:
    """Sum counts per 10,000, counts and non-zero entries of each gene.

    Parameters
    ----------
    counts
        Raw counts (n, g).
    sums
        Those of the rows before, which are added to; None begins.
    """
    n_genes = counts.shape[1]
    sums = sums or GeneSums(np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes, dtype=np.int64))
    counts = plain_csr(counts)
    _add(counts.data, counts.indices, counts.indptr, *sums)
    return sums


@kernel
def _add(data: Array, indices: Array, indptr: Array, scaled: Array, counts: Array, n_nonzero: Array) -> None:
    for i in range(indptr.size - 1):
        total = 0.0
        for j in range(indptr[i], indptr[i + 1]):
            total += np.float64(data[j])
        if total == 0:
            continue
        scale = 1e4 / total
        for j in range(indptr[i], indptr[i + 1]):
            count = np.float64(data[j])
            if count > 0:
                gene = indices[j]
                scaled[gene] += count * scale
                counts[gene] += count
                n_nonzero[gene] += 1


class LogSums(NamedTuple):
    """Sums over spots of log1p CP10k, by gene (g,), and how many spots are not empty."""

    values: NDArray[np.float64]
    squares: NDArray[np.float64]
    n_nonzero: NDArray[np.int64]
    n_spots: int


def log_sums(counts: sp.csr_matrix, inside: NDArray[np.bool_]) -> LogSums:
    """Sum log1p CP10k, its squares and the non-zero entries of each gene.

    Parameters
    ----------
    counts
        Raw counts (n, g).
    inside
        Genes that count (g,); totals are taken over them.
    """
    counts, n_genes = plain_csr(counts), counts.shape[1]
    sums = (np.zeros(n_genes), np.zeros(n_genes), np.zeros(n_genes, dtype=np.int64))
    return LogSums(*sums, _add_logs(counts.data, counts.indices, counts.indptr, inside, *sums))


@kernel
def _add_logs(
    data: Array, indices: Array, indptr: Array, inside: Array, sums: Array, squares: Array, n_nonzero: Array
) -> int:
    n_filled = 0
    for i in range(indptr.size - 1):
        total = 0.0
        for j in range(indptr[i], indptr[i + 1]):
            if inside[indices[j]]:
                total += np.float64(data[j])
        if total <= 0:
            continue
        n_filled += 1
        for j in range(indptr[i], indptr[i + 1]):
            if inside[indices[j]]:
                value = np.log1p(1e4 / total * np.float64(data[j]))
                sums[indices[j]] += value
                squares[indices[j]] += value * value
                n_nonzero[indices[j]] += data[j] > 0
    return n_filled


def totals(counts: sp.csr_matrix, inside: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Sum each spot's counts (n, 2): in all genes, and in the genes ``inside`` (g,)."""
    counts, sums = plain_csr(counts), np.zeros((counts.shape[0], 2))
    _add_rows(counts.data, counts.indices, counts.indptr, inside, sums)
    return sums


@kernel
def _add_rows(data: Array, indices: Array, indptr: Array, inside: Array, sums: Array) -> None:
    for i in range(sums.shape[0]):
        total = held = 0.0
        for j in range(indptr[i], indptr[i + 1]):
            count = np.float64(data[j])
            total += count
            held += count * inside[indices[j]]
        sums[i, 0], sums[i, 1] = total, held


def covered(sums: NDArray[np.float64]) -> float:
    """Share of all counts that :func:`totals` found inside; 1 where there are no counts."""
    total, held = sums.sum(axis=0)
    return float(held / total) if total else 1.0
