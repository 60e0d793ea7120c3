"""L2 logistic regression of the linear probe, its strength chosen on groups of the training side."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MAX_ITER = 1000


class Scaling:
    """Columns with mean 0 and standard deviation 1 on the rows it was made from; constant columns become 0."""

    def __init__(self, x: NDArray[Any]) -> None:
        self.mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
        flat = std <= 1e-6 * np.maximum(np.abs(self.mean), 1e-6)  # float32 noise around a constant
        self.factor = np.where(flat, 0, 1 / np.where(flat, 1, std))

    def __call__(self, x: NDArray[Any]) -> NDArray[np.float64]:
        """Scale rows."""
        return (x - self.mean) * self.factor


def path(x: NDArray[np.float64], y: NDArray[Any], strengths: Sequence[float]) -> list[Any]:
    """Fit a class-balanced model for each strength, weakest fit first, each starting where the last ended."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(class_weight="balanced", warm_start=True, max_iter=_MAX_ITER)
    fitted = []
    for c in sorted(strengths):
        model.set_params(C=c)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # separable data have no end; the score is settled
            model.fit(x, y)
        fitted.append((model.classes_, model.coef_.copy(), model.intercept_.copy()))
    return fitted


def predict(fit: Any, x: NDArray[np.float64]) -> NDArray[Any]:
    """Most likely class of each row."""
    classes, weights, offset = fit
    score = x @ weights.T + offset
    return classes[(score[:, 0] > 0).astype(np.intp)] if len(classes) == 2 else classes[score.argmax(axis=1)]


def recalls(truth: NDArray[Any], found: NDArray[Any]) -> dict[Any, float]:
    """Share of the rows of each class that were found."""
    return {name: float((found[truth == name] == name).mean()) for name in np.unique(truth)}


def choose(
    x: NDArray[Any], y: NDArray[Any], group: NDArray[np.intp], strengths: Sequence[float]
) -> tuple[float, float]:
    """Strength with the best balanced accuracy, mean over left-out groups, the smaller of equals; and that accuracy."""
    ordered = sorted(strengths)
    scores = []
    for k in np.unique(group):
        inside, outside = group != k, (group == k) & np.isin(y, np.unique(y[group != k]))
        if len(np.unique(y[inside])) < 2 or not outside.any():
            continue
        scale = Scaling(x[inside])
        fits = path(scale(x[inside]), y[inside], ordered)
        held = scale(x[outside])
        scores.append([np.mean(list(recalls(y[outside], predict(fit, held)).values())) for fit in fits])
    if not scores:
        return float(ordered[len(ordered) // 2]), np.nan
    means = np.mean(scores, axis=0)
    best = means.round(9).argmax()
    return float(ordered[best]), float(means[best])
