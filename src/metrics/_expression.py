"""How well predicted expression follows what was measured."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._checks import numbers
from .._errors import OptionError
from .._types import check_types


def pearson_per_gene(predicted: Any, truth: Any) -> pd.DataFrame:
    """Correlate prediction and measurement of each gene over spots.

    Parameters
    ----------
    predicted, truth
        Spots by genes (n, g), arrays or DataFrames; DataFrames must have the same columns.

    Returns
    -------
    A row for each gene: ``pearson``, NaN where either side is constant, and ``constant``, whether that is so: its sum
    is the number of genes that were left out.

    Raises
    ------
    OptionError
        Shapes or gene names that do not fit, or values that are not finite.

    Examples
    --------
    >>> scores = hs.metrics.pearson_per_gene(predicted, measured)
    >>> scores["pearson"].mean(), scores["constant"].sum()
    """
    check_types(pearson_per_gene, locals())
    p, t, names = spots_by_genes(predicted, truth)
    r = correlations(p, t)
    return pd.DataFrame({"pearson": r, "constant": np.isnan(r)}, index=names)


def spearman_per_gene(predicted: Any, truth: Any) -> pd.DataFrame:
    """Correlate the ranks of prediction and measurement of each gene over spots; equal values share their mean rank.

    Parameters
    ----------
    predicted, truth
        Spots by genes (n, g), arrays or DataFrames; DataFrames must have the same columns.

    Returns
    -------
    A row for each gene: ``spearman``, NaN where either side is constant, and ``constant``, whether that is so.

    Raises
    ------
    OptionError
        Shapes or gene names that do not fit, or values that are not finite.

    Examples
    --------
    >>> hs.metrics.spearman_per_gene(predicted, measured)["spearman"].median()
    """
    check_types(spearman_per_gene, locals())
    from scipy.stats import rankdata

    p, t, names = spots_by_genes(predicted, truth)
    r = correlations(rankdata(p, axis=0), rankdata(t, axis=0))
    return pd.DataFrame({"spearman": r, "constant": np.isnan(r)}, index=names)


def correlations(p: NDArray[np.float64], t: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson correlation of each column, NaN where either side is constant."""
    constant = (np.ptp(p, axis=0) == 0) | (np.ptp(t, axis=0) == 0)
    p, t = p - p.mean(axis=0), t - t.mean(axis=0)
    length = np.linalg.norm(p, axis=0) * np.linalg.norm(t, axis=0)
    together = np.einsum("ng,ng->g", p, t)
    # A constant column may keep rounding noise after centring: it is told by its range, not by its variance.
    return np.divide(together, length, out=np.full(len(length), np.nan), where=~constant & (length > 0))


def spots_by_genes(predicted: Any, truth: Any) -> tuple[NDArray[np.float64], NDArray[np.float64], Any]:
    """Both sides as arrays, after checking that they fit, and the genes' names where there are some."""
    names = _names(predicted, truth)
    p, t = numbers("predicted", predicted), numbers("truth", truth)
    if p.shape != t.shape or p.ndim != 2 or not len(p):
        fix = "Pass the same spots and genes for both."
        raise OptionError("predicted", found=f"shape {p.shape}", expected=f"{t.shape}, spots by genes", fix=fix)
    if not (np.isfinite(p).all() and np.isfinite(t).all()):
        bad = int((~np.isfinite(p)).sum() + (~np.isfinite(t)).sum())
        fix = "Leave out the rows that are not valid."
        raise OptionError("predicted", found=f"{bad} NaN or infinite values", expected="finite values", fix=fix)
    return p, t, names


def _names(predicted: Any, truth: Any) -> Any:
    named = [list(x.columns) for x in (predicted, truth) if isinstance(x, pd.DataFrame)]
    if len(named) == 2 and named[0] != named[1]:
        off = [pair for pair in zip(*named, strict=False) if pair[0] != pair[1]][:1]
        fix = "Select the same genes in the same order: predicted[truth.columns]."
        raise OptionError("predicted", found=f"other columns than truth, such as {off}", expected="the same", fix=fix)
    return named[0] if named else None
