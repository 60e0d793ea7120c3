"""The one normalisation of counts that everything here uses: counts per 10,000, and their logarithm."""

import numpy as np
import scipy.sparse as sp

_ROWS_AT_ONCE = 4096


def counts_per_10k(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Scale counts to 10,000 a spot; empty spots stay empty."""
    scaled = sp.csr_matrix(counts, dtype=np.float64, copy=True)
    total = np.asarray(scaled.sum(axis=1)).ravel()
    scale = 1e4 / np.maximum(total, 1e-12)
    for first in range(0, len(total), _ROWS_AT_ONCE):
        rows = slice(first, first + _ROWS_AT_ONCE)
        ends = scaled.indptr[first : first + _ROWS_AT_ONCE + 1]
        scaled.data[ends[0] : ends[-1]] *= np.repeat(scale[rows], np.diff(ends))
    return scaled


def log_cp10k(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return log(1 + counts per 10,000); an empty spot stays zero."""
    scaled = counts_per_10k(counts)
    np.log1p(scaled.data, out=scaled.data)
    return scaled
