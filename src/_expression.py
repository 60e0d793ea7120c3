"""The one normalisation of counts that everything here uses: counts per 10,000, and their logarithm."""

import numpy as np
import scipy.sparse as sp


def counts_per_10k(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Scale counts to 10,000 a spot; empty spots stay empty."""
    total = np.asarray(counts.sum(axis=1), dtype=np.float64).ravel()
    scaled = sp.csr_matrix(counts, dtype=np.float64, copy=True)
    scaled.data *= np.repeat(1e4 / np.maximum(total, 1e-12), np.diff(scaled.indptr))
    return scaled


def log_cp10k(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return log(1 + counts per 10,000); an empty spot stays zero."""
    return counts_per_10k(counts).log1p()
