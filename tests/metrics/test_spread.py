from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import wilcoxon

from histoscribe._errors import OptionError
from histoscribe.metrics import block_bootstrap, compare_patients


def _mean(x: Any) -> float:
    return float(x.mean())


def _blocky(rng: np.random.Generator, *, side: int = 30, block: int = 5) -> tuple[Any, Any]:
    """Return positions, and values that are the same within a block but for noise."""
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 100.0
    levels = rng.normal(size=(side // block, side // block))
    at = (xy // (100 * block)).astype(int)
    return xy, levels[at[:, 0], at[:, 1]] + 0.1 * rng.normal(size=len(xy))


def test_standard_error_is_that_of_blocks_and_not_of_spots() -> None:
    rng = np.random.default_rng(0)
    xy, x = _blocky(rng)
    found = block_bootstrap(_mean, [x], xy, block_um=500)
    by_block = pd.Series(x).groupby([xy[:, 0] // 500, xy[:, 1] // 500]).mean()
    assert found["n_blocks"] == 36
    assert found["estimate"] == pytest.approx(x.mean())
    assert found["se"] == pytest.approx(by_block.std(ddof=0) / 6, rel=0.1)
    spots = block_bootstrap(_mean, [x], xy, block_um=100)
    assert spots["n_blocks"] == 900
    assert spots["se"] == pytest.approx(x.std() / 30, rel=0.1)
    assert spots["se"] < found["se"] / 3


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(200):
        xy, x = _blocky(np.random.default_rng(seed))
        found = block_bootstrap(_mean, [x], xy, block_um=500, n_resamples=200, level=0.9)
        covered += found["low"] < 0 < found["high"]
    assert 0.9 - 3 * np.sqrt(0.09 / 200) - 0.03 < covered / 200 < 0.9 + 3 * np.sqrt(0.09 / 200)


def test_sections_are_drawn_apart() -> None:
    xy = np.column_stack([np.arange(20) * 100.0, np.zeros(20)])
    group = np.repeat(["a", "b"], 10)
    found = block_bootstrap(lambda g: (g == "a").mean(), [group], xy, block_um=100, groups=group)
    assert found["se"] == 0
    mixed = block_bootstrap(lambda g: (g == "a").mean(), [group], xy, block_um=100)
    assert mixed["se"] > 0.05
    same_place = block_bootstrap(_mean, [np.arange(20.0)], np.zeros((20, 2)), groups=np.arange(20) % 2)
    assert same_place["n_blocks"] == 2


def test_rows_of_all_arrays_stay_together_and_nan_resamples_are_left_out() -> None:
    rng = np.random.default_rng(1)
    xy, x = _blocky(rng)
    paired = block_bootstrap(lambda a, b: float((a - b).std()), [x, x], xy)
    assert (paired["low"], paired["high"]) == (0, 0)
    some = block_bootstrap(lambda a: _mean(a) if a.mean() > x.mean() else np.nan, [x], xy)
    assert some["low"] > x.mean()
    none = block_bootstrap(lambda a: float("nan"), [x], xy, n_resamples=3)
    assert np.isnan([none["low"], none["high"], none["se"]]).all()


@pytest.mark.parametrize(
    ("data", "xy", "options", "says"),
    [
        ([np.ones(3)], np.zeros((3, 2)), {}, "block_um: found 500.0: one block"),
        ([np.ones(2)], np.zeros((3, 2)), {}, r"data: found \[2\] rows"),
        ([], np.zeros((3, 2)), {}, "data: found"),
        ([np.ones(3)], np.full((3, 2), np.nan), {}, "xy_um"),
        ([np.ones(3)], np.zeros((3, 2)), {"block_um": 0}, "block_um"),
        ([np.ones(3)], np.zeros((3, 2)), {"level": 2}, "level"),
        ([np.ones(3)], np.zeros((3, 2)), {"n_resamples": 0}, "n_resamples"),
    ],
)
def test_what_does_not_fit_is_refused(data: Any, xy: Any, options: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        block_bootstrap(_mean, data, xy, **options)


def _scores(values: Any, names: str) -> pd.Series:
    return pd.Series(values, index=list(names), dtype=float)


def test_patients_are_paired_by_name() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=8)
    one, other = _scores(a + 1, "ABCDEFGH"), _scores((a + 0.3 * rng.normal(size=8))[::-1], "HGFEDCBA")
    found = compare_patients(one, other)
    difference = one - other[one.index]
    assert found["n"] == 8
    assert found["difference"] == pytest.approx(difference.mean())
    assert found["p"] == wilcoxon(difference).pvalue
    half = 1.96 * difference.std(ddof=0) / np.sqrt(8)
    assert found["low"] == pytest.approx(difference.mean() - half, abs=0.05)
    assert found["high"] == pytest.approx(difference.mean() + half, abs=0.05)
    assert found["ahead"] is True
    assert compare_patients(other, one)["ahead"] is False


def test_nothing_is_ahead_of_itself() -> None:
    same = _scores(range(6), "ABCDEF")
    found = compare_patients(same, same)
    assert (found["difference"], found["p"], found["ahead"]) == (0, 1, False)


def test_four_patients_are_too_few_to_say() -> None:
    found = compare_patients(_scores(np.arange(5) + 9, "ABCDE"), _scores(range(5), "ABCDX"))
    assert (found["n"], found["difference"], found["ahead"]) == (4, 9, None)
    assert np.isnan([found["low"], found["high"], found["p"]]).all()
    assert compare_patients(_scores(np.arange(5) + 9, "ABCDE"), _scores(range(5), "ABCDE"))["ahead"] is True


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        (_scores([1, 2], "AA"), _scores([1], "A"), "scores: found"),
        (_scores([1, np.nan], "AB"), _scores([1], "A"), "scores: found"),
        (_scores([1], "A"), [1.0], "other: found"),
        (_scores([1], "A"), _scores([1], "B"), "no patient of scores"),
    ],
)
def test_scores_that_cannot_be_paired_are_refused(one: Any, other: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        compare_patients(one, other)
