"""Nearest neighbours as a rival of the linear probe: the same genes, splits and scores."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from _representations import Encode, Vectors, log_expression, section
from anndata import AnnData
from sklearn.neighbors import KNeighborsRegressor
from sklearn.preprocessing import StandardScaler

import histoscribe as hs

NUMBERS = (5, 10, 20, 40, 80)


def nearest_probe(
    adatas: list[AnnData],
    ridge: pd.DataFrame,
    reps: Mapping[str, Encode],
    unit: str,
    folds: Mapping[str, Any] | None,
    n_bootstrap: int,
) -> pd.DataFrame:
    """Predict what the ridge of ``ridge`` predicted, by the mean of the nearest training spots."""
    units = {str(one.obs[unit].iloc[0]) for one in adatas}
    splits = folds or {name: (sorted(units - {name}), name) for name in sorted(units)}
    parts = []
    for name, (inside, outside) in splits.items():
        genes = list(dict.fromkeys(ridge.loc[ridge["test"] == name, "gene"]))
        train, test = ([one for one in adatas if one.obs[unit].iloc[0] in _listed(side)] for side in (inside, outside))
        y = {section(one): log_expression(one, genes).toarray() for one in (*train, *test)}
        for label, encode in reps.items():
            x = {section(one): encode(one) for one in (*train, *test)}
            predict = _fitted([section(one) for one in train], x, y)
            parts += [_scored(one, predict(x[section(one)]), y, train, n_bootstrap, label, name) for one in test]
    return pd.concat(parts, ignore_index=True)


def _listed(side: str | list[str]) -> list[str]:
    return [side] if isinstance(side, str) else side


def _fitted(names: list[str], x: dict[str, Vectors], y: dict[str, Vectors]) -> Any:
    """Model with the number of neighbours that predicts left-out training sections best."""
    scores = {
        n: np.mean([_correlation(_model([k for k in names if k != out], x, y, n)(x[out]), y[out]) for out in names])
        for n in NUMBERS
    }
    return _model(names, x, y, max(scores, key=scores.__getitem__))


def _model(names: list[str], x: dict[str, Vectors], y: dict[str, Vectors], n: int) -> Any:
    scaler = StandardScaler().fit(np.vstack([x[k] for k in names]))
    model = KNeighborsRegressor(n).fit(
        scaler.transform(np.vstack([x[k] for k in names])), np.vstack([y[k] for k in names])
    )
    return lambda rows: model.predict(scaler.transform(rows))


def _correlation(found: Vectors, truth: Vectors) -> float:
    return float(hs.metrics.pearson_per_gene(found, truth)["pearson"].mean())


def _scored(
    test: AnnData,
    found: Vectors,
    y: dict[str, Vectors],
    train: list[AnnData],
    n_bootstrap: int,
    label: str,
    fold: str,
) -> pd.DataFrame:
    truth, scale = y[section(test)], StandardScaler().fit(np.vstack([y[section(one)] for one in train]))
    off = scale.transform(found) - scale.transform(truth)
    mpp = test.uns["spatial"][section(test)]["metadata"]["mpp"]
    spread = hs.metrics.block_bootstrap(
        _correlation, [found, truth], test.obsm["spatial"] * mpp, block_um=500.0, n_resamples=n_bootstrap
    )
    frame = hs.metrics.pearson_per_gene(found, truth)
    frame["spearman"] = hs.metrics.spearman_per_gene(found, truth)["spearman"]
    return frame.assign(
        mse=(off**2).mean(axis=0),
        mae=np.abs(off).mean(axis=0),
        rep=label,
        test=fold,
        section=section(test),
        gene=np.arange(len(frame)),
        pearson_pooled=np.nan,
        low=spread["low"],
        high=spread["high"],
    )
