"""How sure a number is: within a section over blocks of tissue, across patients over patients; never over spots."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._checks import check, is_count, is_number, numbers
from .._errors import OptionError
from .._types import check_types

_LEAST_PATIENTS = 5


def block_bootstrap(
    statistic: Callable[..., float],
    data: Sequence[Any],
    xy_um: Any,
    *,
    block_um: float = 500.0,
    groups: Any = None,
    n_resamples: int = 1000,
    level: float = 0.95,
    random_state: int = 0,
) -> dict[str, float]:
    """Interval of a statistic of spots from resampled blocks of tissue.

    Neighbouring spots are not independent, so whole squares of tissue are drawn with replacement, as many as there
    are in each section. The interval speaks of other tissue like this section's, not of other patients.

    Parameters
    ----------
    statistic
        Function of the rows of ``data``, such as ``lambda truth, found: (truth == found).mean()``; resamples for which
        it is NaN are left out.
    data
        Arrays with a row for each spot.
    xy_um
        Positions (n, 2), um.
    block_um
        Side of a block; it should be longer than what looks alike in the tissue.
    groups
        Section of each spot (n,), where there are several.
    n_resamples
        Times to draw.
    level
        Share of the resamples that the interval holds.
    random_state
        Seed.

    Returns
    -------
    ``estimate`` on all spots; ``low`` and ``high``, the interval; ``se``, the standard deviation of the resamples;
    ``n_blocks``. Below some ten blocks the interval is rough.

    Raises
    ------
    OptionError
        Rows that do not fit, spots without a position, or all spots in one block.

    References
    ----------
    Efron 1979, Ann Stat 7:1; Künsch 1989, Ann Stat 17:1217.

    Examples
    --------
    >>> hs.metrics.block_bootstrap(lambda t, p: (t == p).mean(), [truth, found], adata.obsm["spatial"] * mpp)
    """
    check_types(block_bootstrap, locals())
    xy = numbers("xy_um", xy_um)
    arrays = [np.asarray(values) for values in data]
    _check_rows(arrays, xy)
    check("block_um", block_um, is_number(block_um, 1e-9), "a length in um")
    check("n_resamples", n_resamples, is_count(n_resamples), "a whole number, 1 or more")
    check("level", level, is_number(level, 0, 1), "a share from 0 to 1")
    blocks = _blocks(xy, block_um, np.zeros(len(xy)) if groups is None else np.asarray(groups))
    n_blocks = sum(map(len, blocks))
    if n_blocks < 2:
        fix = "Pass a smaller block_um=."
        raise OptionError("block_um", found=f"{block_um}: one block", expected="two or more blocks", fix=fix)
    rng = np.random.default_rng(random_state)
    drawn = []
    for _ in range(n_resamples):
        rows = np.concatenate([own[k] for own in blocks for k in rng.integers(0, len(own), len(own))])
        drawn.append(statistic(*[values[rows] for values in arrays]))
    ok = np.array(drawn)[~np.isnan(drawn)]
    low, high = np.quantile(ok, [(1 - level) / 2, (1 + level) / 2]) if len(ok) else (np.nan, np.nan)
    estimate, se = float(statistic(*arrays)), float(ok.std()) if len(ok) else np.nan
    return {"estimate": estimate, "low": float(low), "high": float(high), "se": se, "n_blocks": n_blocks}


def _check_rows(arrays: Sequence[NDArray[Any]], xy: NDArray[np.float64]) -> None:
    if xy.ndim != 2 or xy.shape[1] != 2 or not len(xy) or not np.isfinite(xy).all():
        fix = "Leave out spots without a position."
        raise OptionError("xy_um", found=f"shape {xy.shape}, or NaN", expected="finite positions (n, 2)", fix=fix)
    if not arrays or any(len(values) != len(xy) for values in arrays):
        found = f"{[len(values) for values in arrays]} rows"
        raise OptionError("data", found=found, expected=f"{len(xy)}, as positions", fix="Pass a row for each spot.")


def _blocks(xy: NDArray[np.float64], block_um: float, groups: NDArray[Any]) -> list[list[NDArray[np.intp]]]:
    """Rows of each block of each group."""
    square = np.floor((xy - xy.min(axis=0)) / block_um).astype(np.int64)
    frame = pd.DataFrame({"group": groups, "x": square[:, 0], "y": square[:, 1]})
    by_group: dict[Any, list[NDArray[np.intp]]] = {}
    for (group, *_), rows in frame.groupby(["group", "x", "y"]).indices.items():
        by_group.setdefault(group, []).append(rows)
    return list(by_group.values())


def compare_patients(
    scores: pd.Series, other: pd.Series, *, n_resamples: int = 10_000, level: float = 0.95, random_state: int = 0
) -> dict[str, Any]:
    """Compare two methods patient by patient: mean difference, its interval over patients, a paired Wilcoxon test.

    Parameters
    ----------
    scores, other
        One number a patient, index patients; only patients that both have are compared.
    n_resamples
        Times that patients are drawn with replacement.
    level
        Share of the resamples that the interval holds.
    random_state
        Seed.

    Returns
    -------
    ``n`` patients; ``difference``, mean of ``scores - other``; ``low`` and ``high``, its interval; ``p`` of Wilcoxon's
    signed-rank test, two-sided; ``ahead``, whether the interval lies above 0. Below five patients ``low``, ``high`` and
    ``p`` are NaN and ``ahead`` is None: then the numbers speak of these patients only.

    Raises
    ------
    OptionError
        No patient in both, a patient twice, or a missing number.

    References
    ----------
    Wilcoxon 1945, Biometrics Bull 1:80.

    Examples
    --------
    >>> by_rep = frame.pivot(index="test", columns="rep", values="balanced_accuracy")
    >>> hs.metrics.compare_patients(by_rep["X_fused"], by_rep["X_image"])
    """
    check_types(compare_patients, locals())
    check("n_resamples", n_resamples, is_count(n_resamples), "a whole number, 1 or more")
    check("level", level, is_number(level, 0, 1), "a share from 0 to 1")
    from scipy.stats import wilcoxon

    difference = _paired(scores, other)
    n, mean = len(difference), float(difference.mean())
    if n < _LEAST_PATIENTS:
        return {"n": n, "difference": mean, "low": np.nan, "high": np.nan, "p": np.nan, "ahead": None}
    rng = np.random.default_rng(random_state)
    means = difference[rng.integers(0, n, (n_resamples, n))].mean(axis=1)
    low, high = (float(q) for q in np.quantile(means, [(1 - level) / 2, (1 + level) / 2]))
    p = float(wilcoxon(difference).pvalue) if difference.any() else 1.0
    return {"n": n, "difference": mean, "low": low, "high": high, "p": p, "ahead": low > 0}


def _paired(scores: pd.Series, other: pd.Series) -> NDArray[np.float64]:
    for name, values in (("scores", scores), ("other", other)):
        if not isinstance(values, pd.Series) or not values.index.is_unique or values.isna().any():
            fix = "Average a patient's sections first: frame.groupby('test')[...].mean()."
            raise OptionError(name, found=f"{values!r:.60}", expected="a Series with one number a patient", fix=fix)
    both = scores.index.intersection(other.index)
    if not len(both):
        fix = "Name the patients in both indices."
        raise OptionError("other", found="no patient of scores", expected="the same patients", fix=fix)
    return (scores[both].to_numpy(dtype=np.float64) - other[both].to_numpy(dtype=np.float64)).ravel()
