"""One fold of an expression probe: a regression, and its scores gene by gene."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import OptionError
from ..metrics import block_bootstrap, pearson_per_gene, spearman_per_gene
from ._probe_folds import Fold, Piece, inner_groups
from ._probe_logistic import Scaling
from ._probe_reps import Vectors
from ._probe_ridge import Ridge

_COMPS, _SEED, _PENALTY, _STEPS = 256, 1, 100, 1000  # HEST's
_ALL = "all"

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Options:
    """What of the probe's options a fold needs."""

    protocol: str
    alphas: Sequence[float]
    n_bootstrap: int
    block_um: float
    library_key: str
    random_state: int


@dataclass(frozen=True)
class _Side:
    """Usable rows of the pieces of one side."""

    numbers: list[int]
    ok: list[NDArray[np.bool_]]
    x: list[Matrix]
    y: list[Matrix]

    @classmethod
    def of(cls, numbers: Sequence[int], x: dict[int, Vectors], y: dict[int, Matrix]) -> "_Side":
        """Leave out rows without vectors or counts, and pieces without rows."""
        ok = {k: np.isfinite(np.column_stack([x[k], y[k]])).all(axis=1) for k in numbers}
        filled = [k for k in numbers if ok[k].any()]
        vectors = [x[k][ok[k]].astype(np.float64) for k in filled]
        return cls(filled, [ok[k] for k in filled], vectors, [y[k][ok[k]] for k in filled])

    def __len__(self) -> int:
        return sum(map(len, self.y))


def probed(
    rep: str,
    fold: Fold,
    pieces: Sequence[Piece],
    x: dict[int, Vectors],
    y: dict[int, Matrix],
    genes: Sequence[str],
    options: Options,
) -> pd.DataFrame:
    """Fit on the training side of a fold and score each gene in each test section."""
    train, test = _Side.of(fold.train, x, y), _Side.of(fold.test, x, y)
    if min(len(train), len(test)) < 3:
        found = f"{len(train)} spots to train on and {len(test)} to test on in fold {fold.name!r}"
        raise OptionError(f"use_rep {rep!r}", found=found, expected="3 or more", fix="Check the vectors and counts.")
    predict, alpha, inner = _hest(train) if options.protocol == "hest" else _ridge(train, pieces, options.alphas)
    predicted = [predict(own) for own in test.x]
    pooled = pearson_per_gene(np.concatenate(predicted), np.concatenate(test.y))["pearson"].to_numpy()
    unit = Scaling(np.concatenate(train.y)) if options.protocol != "hest" else None
    together = [[i] for i in range(len(predicted))] if unit is not None else [list(range(len(predicted)))]
    frames = []
    for chosen in together:
        p, t = (np.concatenate([side[i] for i in chosen]) for side in (predicted, test.y))
        name = pieces[test.numbers[chosen[0]]].section if unit is not None else _ALL
        spread = _spread(p, t, [(pieces[test.numbers[i]], test.ok[i]) for i in chosen], options)
        frames.append(_scores(p, t, unit).assign(**spread, section=name, gene=list(genes), pearson_pooled=pooled))
    n_left_out = sum(len(y[k]) for k in fold.test) - len(test)
    common = {"rep": rep, "split": fold.split, "test": fold.name, "n_train": len(train), "n_left_out": n_left_out}
    return _ordered(pd.concat(frames, ignore_index=True).assign(**common, alpha=alpha, inner=inner))


def _ordered(frame: pd.DataFrame) -> pd.DataFrame:
    first = ["rep", "split", "test", "section", "gene", "pearson", "spearman", "mse", "mae", "constant"]
    last = ["pearson_pooled", "n_train", "n_test", "n_left_out", "alpha", "inner", "low", "high"]
    return frame[[*first, *[name for name in last if name in frame]]]


def _ridge(
    train: _Side, pieces: Sequence[Piece], alphas: Sequence[float]
) -> tuple[Callable[[Matrix], Matrix], float, str]:
    inner, groups = "none", [np.zeros(len(own), dtype=np.intp) for own in train.y]
    if len(alphas) > 1:
        whole, inner = inner_groups([pieces[k] for k in train.numbers])
        groups = [own[ok] for own, ok in zip(whole, train.ok, strict=True)]
    model = Ridge(np.concatenate(train.x), np.concatenate(train.y), np.concatenate(groups), alphas)
    return model, model.alpha, inner


def _hest(train: _Side) -> tuple[Callable[[Matrix], Matrix], float, str]:
    """Regression of HEST-Benchmark: standardised, 256 components, a fixed penalty and no intercept."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge as Linear
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, y = np.concatenate(train.x), np.concatenate(train.y)
    n_comps = min(_COMPS, *x.shape)
    alpha = _PENALTY / (n_comps * y.shape[1])
    ridge = Linear(alpha=alpha, solver="lsqr", fit_intercept=False, max_iter=_STEPS)
    model = make_pipeline(StandardScaler(), PCA(n_comps, random_state=_SEED), ridge).fit(x, y)
    return lambda rows: model.predict(rows).reshape(len(rows), -1), alpha, "none"


def _scores(found: Matrix, truth: Matrix, unit: Scaling | None) -> pd.DataFrame:
    frame = pearson_per_gene(found, truth).assign(spearman=spearman_per_gene(found, truth)["spearman"])
    frame = frame.assign(mse=np.nan, mae=np.nan, n_test=len(truth))
    if unit is None:  # not centred and without an intercept: errors would mean nothing
        return frame
    off = unit(found) - unit(truth)
    return frame.assign(mse=(off**2).mean(axis=0), mae=np.abs(off).mean(axis=0))


def _spread(
    found: Matrix, truth: Matrix, shown: Sequence[tuple[Piece, NDArray[np.bool_]]], options: Options
) -> dict[str, Any]:
    """Interval of the mean correlation over genes, from resampled blocks of tissue."""
    if not options.n_bootstrap:
        return {}
    xy = np.concatenate([piece.xy_um(options.library_key)[ok] for piece, ok in shown])
    section = np.repeat(np.arange(len(shown)), [ok.sum() for _, ok in shown])
    spread = block_bootstrap(
        lambda p, t: float(pearson_per_gene(p, t)["pearson"].mean()),
        [found, truth],
        xy,
        block_um=options.block_um,
        groups=section,
        n_resamples=options.n_bootstrap,
        random_state=options.random_state,
    )
    return {"low": spread["low"], "high": spread["high"]}
