"""The loops that rank the genes of a spot: a sortable key for each entry, and tokens from sorted keys."""

import numpy as np

from .._jit import Array, kernel

MEAN, RESIDUAL = 0, 1
THETA = 100.0  # overdispersion of the residuals: scanpy's default
# Of a residual: with less, a single molecule of a rare gene, seen by chance, comes before all else.
LEAST_VARIANCE = 1.0


@kernel
def _value(count: float, weight: float, total: float, rank: int) -> float:
    """Value that a gene is ranked by, highest first."""
    if rank == MEAN:
        return count / weight
    expected = total * weight
    return (count - expected) / np.sqrt(max(expected + expected * expected / THETA, LEAST_VARIANCE))


@kernel
def _total(data: Array, indices: Array, start: int, stop: int, position: Array) -> float:
    total = 0.0
    for j in range(start, stop):
        if position[indices[j]] >= 0:
            total += np.float64(data[j])
    return total


@kernel
def fill_keys(
    data: Array,
    indices: Array,
    indptr: Array,
    rows: Array,
    position: Array,
    weights: Array,
    rank: int,
    bits: int,
    keys: Array,
    lengths: Array,
    sums: Array,
) -> None:
    """Write a key for each entry of the rows; sorted upwards, keys give the highest value first.

    The upper bits of a key are those of the value, rounded; the lower ``bits`` are the gene, so that equal values
    stand in the order of the vocabulary. Unused keys are the largest number. ``sums`` (n, 2) takes the counts of each
    spot, in all genes and in those with a position.
    """
    low = (np.uint64(1) << np.uint64(bits)) - np.uint64(1)
    for i in range(rows.size):
        start, stop = indptr[rows[i]], indptr[rows[i] + 1]
        total = _total(data, indices, start, stop, position) if rank == RESIDUAL else 1.0
        n, everything, held = 0, 0.0, 0.0
        for j in range(start, stop):
            gene, count = position[indices[j]], np.float64(data[j])
            everything += count
            if gene >= 0 and count > 0:
                value = np.float64(_value(count, weights[gene], total, rank)).view(np.uint64)
                if not value >> np.uint64(63):  # floats sort as integers once the positive ones are turned round
                    value = ~(value | np.uint64(1 << 63))
                keys[i, n] = (value & ~low) | np.uint64(gene)
                n += 1
                held += count
        lengths[i] = n
        sums[rows[i], 0], sums[rows[i], 1] = everything, held
        keys[i, n:] = np.uint64(0xFFFFFFFFFFFFFFFF)


@kernel
def write_tokens(
    data: Array,
    indices: Array,
    indptr: Array,
    rows: Array,
    position: Array,
    weights: Array,
    rank: int,
    bits: int,
    keys: Array,
    lengths: Array,
    first: int,
    tokens: Array,
) -> None:
    """Turn sorted keys into tokens; where values agree in their upper bits, the exact ones decide."""
    shift = np.uint64(bits)
    low = (np.uint64(1) << shift) - np.uint64(1)
    counts = np.empty(weights.size)
    for i in range(rows.size):
        row, n = rows[i], lengths[i]
        total, known = 1.0, False
        n_written = min(n, tokens.shape[1])
        k = 0
        while k < n_written:
            end = k + 1
            while end < n and keys[i, end] >> shift == keys[i, k] >> shift:
                end += 1
            if end > k + 1:
                if not known:
                    for j in range(indptr[row], indptr[row + 1]):
                        if position[indices[j]] >= 0:
                            counts[position[indices[j]]] = np.float64(data[j])
                    if rank == RESIDUAL:
                        total = _total(data, indices, indptr[row], indptr[row + 1], position)
                    known = True
                _settle(keys[i, k:end], low, counts, weights, total, rank)
            k = end
        for k in range(n_written):
            tokens[row, k] = first + np.int64(keys[i, k] & low)


@kernel
def _settle(run: Array, low: int, counts: Array, weights: Array, total: float, rank: int) -> None:
    """Sort a run of keys by value, then count, then gene: by insertion, for it is nearly always in order."""
    for a in range(1, run.size):
        key = run[a]
        gene = np.int64(key & low)
        count = counts[gene]
        value = _value(count, weights[gene], total, rank)
        b = a
        while b > 0:
            other = np.int64(run[b - 1] & low)
            before = _value(counts[other], weights[other], total, rank)
            if before > value or (
                before == value and (counts[other] > count or (counts[other] == count and other < gene))
            ):
                break
            run[b] = run[b - 1]
            b -= 1
        run[b] = key
