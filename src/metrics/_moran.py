"""How much values cluster in space, and whether predicted maps cluster like measured ones."""

from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .._checks import numbers
from .._errors import OptionError
from .._types import check_types
from ._expression import correlations, spots_by_genes


def morans_i(values: Any, graph: Any) -> pd.Series:
    """Moran's I of each column of values over a neighbour graph: 1 for neighbours alike, about 0 for none of it.

    As squidpy does, each spot's edges are scaled to sum to 1. Neither values nor graph are made dense.

    Parameters
    ----------
    values
        Numbers of each spot, (n,) or (n, g): an array, a sparse matrix or a DataFrame.
    graph
        Neighbour graph (n, n), sparse, such as ``adata.obsp["spatial_connectivities"]``.

    Returns
    -------
    A number for each column, NaN where it is constant or all missing, as a gene set that can't be scored; named by the
    columns of a DataFrame.

    Raises
    ------
    OptionError
        Shapes that do not fit, values that are not finite, or a graph without edges.

    References
    ----------
    Moran 1950, Biometrika 37:17.

    Examples
    --------
    >>> hs.pp.spatial_graph(adata)
    >>> hs.metrics.morans_i(adata.obsm["score_hallmark"], adata.obsp["spatial_connectivities"]).nlargest(5)
    """
    check_types(morans_i, locals())
    names = values.columns if isinstance(values, pd.DataFrame) else None
    x = sp.csc_matrix(values, dtype=np.float64) if sp.issparse(values) else _dense(values)
    weights = _weights(graph, x.shape[0])
    if not np.isfinite(x.data if sp.issparse(x) else x).all():
        fix = "Leave out rows that are not valid."
        raise OptionError("values", found="NaN or infinite values", expected="finite values", fix=fix)
    n, mean = x.shape[0], np.asarray(x.mean(axis=0)).ravel()
    # z'Wz and z'z of z = x - mean, written out so that sparse values stay sparse.
    into, out = (np.asarray(weights.sum(axis=axis)).ravel() for axis in (0, 1))
    total = weights.sum()
    around = _product(x, weights @ x) - mean * (x.T @ into + x.T @ out) + mean**2 * total
    square = _product(x, x) - n * mean**2
    lowest, highest = _range(x)
    with np.errstate(invalid="ignore", divide="ignore"):
        moran = np.where(lowest == highest, np.nan, n / total * around / square)
    return pd.Series(moran, index=names, name="morans_i")


def moran_agreement(predicted: Any, truth: Any, graph: Any) -> dict[str, float]:
    """Compare how much predicted and measured genes cluster in space: smooth predictions of rough genes show here.

    Parameters
    ----------
    predicted, truth
        Spots by genes (n, g), arrays or DataFrames; DataFrames must have the same columns.
    graph
        Neighbour graph (n, n), sparse.

    Returns
    -------
    ``spearman``, rank correlation over genes of the two Moran's I; ``difference``, the mean of predicted less measured:
    above 0 where predictions are smoother than the measurement; ``n_genes``, those that vary on both sides.

    Raises
    ------
    OptionError
        Shapes or gene names that do not fit, or values that are not finite.

    Examples
    --------
    >>> hs.metrics.moran_agreement(predicted, measured, adata.obsp["spatial_connectivities"])
    """
    check_types(moran_agreement, locals())
    p, t, _ = spots_by_genes(predicted, truth)
    found, known = (morans_i(values, graph).to_numpy() for values in (p, t))
    ok = np.isfinite(found) & np.isfinite(known)
    ranks = [pd.Series(values[ok]).rank().to_numpy()[:, None] for values in (found, known)]
    spearman = float(correlations(*ranks)[0]) if ok.sum() > 1 else np.nan
    difference = float((found - known)[ok].mean()) if ok.any() else np.nan
    return {"spearman": spearman, "difference": difference, "n_genes": int(ok.sum())}


def _dense(values: Any) -> Any:
    x = numbers("values", values)
    if x.ndim not in (1, 2):
        fix = "Pass a number for each spot, or a column for each gene."
        raise OptionError("values", found=f"shape {x.shape}", expected="(n,) or (n, g)", fix=fix)
    x = x[:, None] if x.ndim == 1 else x
    return np.where(np.isnan(x).all(axis=0), 0, x)


def _weights(graph: Any, n: int) -> Any:
    if not sp.issparse(graph) or graph.shape != (n, n):
        found = f"{type(graph).__name__} {getattr(graph, 'shape', '')}"
        fix = "Pass adata.obsp['spatial_connectivities'], from hs.pp.spatial_graph(adata)."
        raise OptionError("graph", found=found, expected=f"a sparse matrix ({n}, {n})", fix=fix)
    weights = sp.csr_matrix(graph, dtype=np.float64)
    total = np.asarray(np.abs(weights).sum(axis=1)).ravel()
    if not total.any():
        raise OptionError("graph", found="no edges", expected="neighbours", fix="Build it with more neighbours.")
    return sp.diags_array(np.divide(1, total, out=np.zeros(n), where=total > 0)) @ weights


def _product(a: Any, b: Any) -> Any:
    """Sum over rows of a * b, column by column."""
    return np.asarray(a.multiply(b).sum(axis=0)).ravel() if sp.issparse(a) else np.einsum("ng,ng->g", a, b)


def _range(x: Any) -> tuple[Any, Any]:
    if sp.issparse(x):
        return x.min(axis=0).toarray().ravel(), x.max(axis=0).toarray().ravel()
    return x.min(axis=0), x.max(axis=0)
