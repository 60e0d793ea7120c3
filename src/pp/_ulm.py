"""Univariate linear model: how strongly a gene set explains a spot, as the t-value of a regression on membership."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy import special
from scipy.stats import false_discovery_control

from .._jit import in_threads, plain_csr
from ._ulm_kernel import add_up

_ROWS_AT_ONCE = 2048


class Universe(NamedTuple):
    """The genes that a spot's expression is regressed over, by column of the counts (g,).

    ``inside`` says which columns they are. Expression enters as (x - mean) / sd; ``plain`` leaves it as it is.
    """

    inside: NDArray[np.bool_]
    means: NDArray[np.float64]
    sds: NDArray[np.float64]

    @classmethod
    def plain(cls, inside: NDArray[np.bool_]) -> "Universe":
        """Genes whose expression is taken as it is."""
        return cls(inside, np.zeros(len(inside)), np.ones(len(inside)))


def ulm(
    counts: sp.csr_matrix, membership: sp.csr_matrix, universe: Universe | None = None, *, with_p: bool = True
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """t-values and p-values (n, P) of regressing each spot's log1p CP10k on each gene set.

    Nothing is densified and no normalised copy is made: counts are read once, spot by spot. Centring the genes is a
    correction of the sums, so it does not cost sparsity.

    Parameters
    ----------
    counts
        Raw counts (n, g).
    membership
        Genes x sets (g, P): the weight of a gene in a set.
    universe
        Genes to regress over; by default all, as they are.
    with_p
        Whether to return p-values: two-sided, Benjamini-Hochberg within a spot.

    Returns
    -------
    t-values and adjusted p-values; 0 and 1 for a spot or set without variance.

    References
    ----------
    Badia-i-Mompel et al. 2022, Bioinformatics Advances, doi:10.1093/bioadv/vbac016.
    """
    universe = universe or Universe.plain(np.ones(counts.shape[1], dtype=bool))
    n, n_sets = counts.shape[0], membership.shape[1]
    scores = np.zeros((n, n_sets), dtype=np.float32)
    adjusted = np.ones((n, n_sets), dtype=np.float32) if with_p else None
    counts, regression = plain_csr(counts), _Regression(membership, universe)

    def work(first: int) -> None:
        rows = slice(first, min(first + _ROWS_AT_ONCE, n))
        t = regression.t_values(counts, rows)
        scores[rows] = t
        if adjusted is not None:
            adjusted[rows] = false_discovery_control(2 * special.stdtr(regression.df, -np.abs(t)), axis=1)

    in_threads(work, list(range(0, n, _ROWS_AT_ONCE)))
    return scores, adjusted


class _Regression:
    """What is the same for all spots of a regression on gene sets."""

    def __init__(self, membership: sp.csr_matrix, universe: Universe) -> None:
        inside = universe.inside
        design = sp.csr_matrix(membership.multiply(inside[:, None]))
        self.sets = _first_and_rest(design)
        self.inside, self.scale = inside, 1 / universe.sds
        self.centre = universe.means / universe.sds
        self.n_genes = int(inside.sum())
        self.df = max(self.n_genes - 2, 1)
        self.set_sum = np.asarray(design.sum(axis=0)).ravel()
        square = np.asarray(design.multiply(design).sum(axis=0)).ravel()
        self.set_spread = np.maximum(square - self.set_sum**2 / self.n_genes, 0)
        self.centre_sum = self.centre[inside].sum()
        self.centre_square = (self.centre[inside] ** 2).sum()
        self.centre_product = design.T @ self.centre

    def t_values(self, counts: sp.csr_matrix, rows: slice) -> NDArray[np.float64]:
        """t-values (rows, P); 0 where there is no variance."""
        products = np.zeros((rows.stop - rows.start, len(self.set_sum) + 1))
        moments = np.zeros((len(products), 3))
        csr = (counts.data, counts.indices, counts.indptr)
        add_up(*csr, rows.start, self.inside, self.centre, self.scale, *self.sets, products, moments)
        value_sum = moments[:, :1] - self.centre_sum
        square_sum = moments[:, 1:2] + self.centre_square
        spread = square_sum - value_sum**2 / self.n_genes
        spread[spread < 1e-12 * square_sum] = 0  # what rounding leaves of a spot whose genes are all alike
        covariance = products[:, :-1] - self.centre_product - value_sum * (self.set_sum / self.n_genes)
        norm = np.sqrt(spread * self.set_spread)
        there = (norm > 1e-12) & (moments[:, 2:] > 0)
        r = np.divide(covariance, norm, out=np.zeros_like(covariance), where=there)
        return r * np.sqrt(self.df / np.maximum(1 - r**2, 1e-12))


def _first_and_rest(design: sp.csr_matrix) -> tuple[NDArray[np.generic], ...]:
    """First set of each gene and its weight, and the others as CSR; a spare set and 0 for a gene in none."""
    some = np.diff(design.indptr) > 0
    first = design.indptr[:-1][some]
    index = np.full(len(some), design.shape[1], dtype=np.int64)
    weight = np.zeros(len(some))
    index[some], weight[some] = design.indices[first], design.data[first]
    start = design.indptr - np.concatenate([[0], np.cumsum(some)])
    return index, weight, start, np.delete(design.indices, first), np.delete(design.data, first)
