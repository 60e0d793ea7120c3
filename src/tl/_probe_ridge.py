"""Ridge regression of many genes at once, its penalty chosen on groups of the training side."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._probe_logistic import Scaling

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Sums over rows that a ridge fit, and its score on other rows, are made from."""

    n: int
    x: Matrix
    y: Matrix
    xx: Matrix
    xy: Matrix
    yy: Matrix

    @classmethod
    def of(cls, x: Matrix, y: Matrix) -> "Moments":
        """Sum up rows."""
        return cls(len(x), x.sum(axis=0), y.sum(axis=0), x.T @ x, x.T @ y, np.einsum("ng,ng->g", y, y))

    def __sub__(self, other: "Moments") -> "Moments":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Moments(*[a - b for a, b in pairs])

    def centred(self) -> tuple[Matrix, Matrix, Matrix]:
        """Return sums of products around the means: of features, of features and genes, of genes."""
        xx = self.xx - np.outer(self.x, self.x) / self.n
        return xx, self.xy - np.outer(self.x, self.y) / self.n, self.yy - self.y**2 / self.n


class Ridge:
    """Standardised features, an intercept, one penalty for all genes.

    Parameters
    ----------
    x
        Features (n, d).
    y
        Genes (n, g).
    group
        Group of each row (n,): one after the other is left out to choose the penalty.
    alphas
        Penalties, per training row.
    """

    def __init__(self, x: Matrix, y: Matrix, group: NDArray[np.intp], alphas: Sequence[float]) -> None:
        self.scale = Scaling(x)
        x = self.scale(x)
        self.basis = _basis(x)
        x = x @ self.basis if self.basis is not None else x
        self.offset = y.mean(axis=0)
        y = y - self.offset
        whole = Moments.of(x, y)
        per_row = _choose(x, y, group, whole, sorted(alphas))
        self.alpha = per_row * len(x)
        self.weights = _solve(whole, [per_row])[0]

    def __call__(self, x: Matrix) -> Matrix:
        """Predict genes of rows."""
        x = self.scale(x)
        return (x @ self.basis if self.basis is not None else x) @ self.weights + self.offset


def _basis(x: Matrix) -> Matrix | None:
    """Axes that hold all of x where it has more columns than rows: ridge on them is the same, and far smaller."""
    if x.shape[1] <= x.shape[0]:
        return None
    return np.linalg.svd(x, full_matrices=False)[2].T


def _solve(moments: Moments, per_row: Sequence[float]) -> list[Matrix]:
    from scipy.linalg import solve

    xx, xy, _ = moments.centred()
    eye = np.eye(len(xx))
    return [solve(xx + moments.n * a * eye, xy, assume_a="pos") for a in per_row]


def _choose(x: Matrix, y: Matrix, group: NDArray[np.intp], whole: Moments, alphas: Sequence[float]) -> float:
    """Penalty with the best mean correlation per gene over left-out groups; the larger of equals."""
    names = np.unique(group)
    if len(alphas) == 1 or len(names) < 2:
        return float(alphas[len(alphas) // 2])
    scores = []
    for name in names:
        held = Moments.of(x[group == name], y[group == name])
        scores.append([_correlation(held, weights) for weights in _solve(whole - held, alphas)])
    best = np.mean(scores, axis=0).round(9)
    return float(alphas[np.flatnonzero(best == best.max())[-1]])


def _correlation(held: Moments, weights: Matrix) -> float:
    xx, xy, yy = held.centred()
    together = np.einsum("dg,dg->g", weights, xy)
    spread = np.einsum("dg,dg->g", weights, xx @ weights).clip(min=0) * yy.clip(min=0)
    usable = spread > 1e-12
    return float((together[usable] / np.sqrt(spread[usable])).mean()) if usable.any() else 0.0
