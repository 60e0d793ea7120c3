"""Univariate linear model: how strongly a gene set explains a spot, as the t-value of a regression on membership."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import stats

Scores = NDArray[np.float64]


def ulm(expression: sp.csr_matrix, membership: sp.csc_matrix) -> tuple[Scores, Scores]:
    """t-values and two-sided p-values (n, P) of regressing each spot on each gene set, without densifying anything.

    Parameters
    ----------
    expression
        Spots x genes (n, g).
    membership
        Genes x sets (g, P), the weight of a gene in a set.

    Returns
    -------
    t-values and p-values; 0 and 1 for a spot or set without variance.

    References
    ----------
    Badia-i-Mompel et al. 2022, Bioinformatics Advances, doi:10.1093/bioadv/vbac016.
    """
    n_genes = expression.shape[1]
    row_sum = np.asarray(expression.sum(axis=1)).reshape(-1, 1)
    row_square = np.asarray(expression.multiply(expression).sum(axis=1)).reshape(-1, 1)
    set_sum = np.asarray(membership.sum(axis=0)).reshape(1, -1)
    set_square = np.asarray(membership.multiply(membership).sum(axis=0)).reshape(1, -1)
    covariance = (expression @ membership).toarray() - row_sum * set_sum / n_genes
    spread = np.sqrt(
        np.maximum(row_square - row_sum**2 / n_genes, 0) * np.maximum(set_square - set_sum**2 / n_genes, 0)
    )
    r = np.divide(covariance, spread, out=np.zeros_like(covariance), where=spread > 1e-12)
    df = n_genes - 2
    t = r * np.sqrt(df / np.maximum(1 - r**2, 1e-12))
    return t, 2 * stats.t.sf(np.abs(t), df)
