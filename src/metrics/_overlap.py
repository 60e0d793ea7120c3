"""Whether prediction finds the spots where a gene is highest."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._checks import check, is_count
from .._types import check_types
from ._expression import spots_by_genes


def top_k_overlap(predicted: Any, truth: Any, k: int) -> pd.Series:
    """Share of the ``k`` highest spots of each gene that are among its ``k`` highest predicted ones; chance is k / n.

    Spots that tie for the last places share them equally, so a constant prediction scores chance.

    Parameters
    ----------
    predicted, truth
        Spots by genes (n, g), arrays or DataFrames; DataFrames must have the same columns.
    k
        How many spots are looked at, fewer than there are.

    Returns
    -------
    A number for each gene.

    Raises
    ------
    OptionError
        Shapes or gene names that do not fit, values that are not finite, or a ``k`` that is not allowed.

    Examples
    --------
    >>> hs.metrics.top_k_overlap(predicted, measured, k=30).mean()
    """
    check_types(top_k_overlap, locals())
    p, t, names = spots_by_genes(predicted, truth)
    check("k", k, is_count(k) and k <= len(p), f"a whole number, 1 to {len(p)} spots", fix="Ask for fewer.")
    return pd.Series((_places(p, k) * _places(t, k)).sum(axis=0) / k, index=names, name="top_k_overlap")


def _places(x: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Share of a place among the first k that each row has, column by column."""
    last = -np.partition(-x, k - 1, axis=0)[k - 1]
    above, tied = x > last, x == last
    return above + tied * ((k - above.sum(axis=0)) / tied.sum(axis=0))
