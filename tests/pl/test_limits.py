"""Limits of colours."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from histoscribe._errors import OptionError
from histoscribe.pl._limits import Numeric, is_constant, limits


def test_outliers_do_not_set_the_limits() -> None:
    values = np.append(np.linspace(1, 2, 999), 1e6)
    low, high, middle = limits(values, Numeric())
    assert 1 <= low < 1.1
    assert 1.9 < high <= 2
    assert middle is None


def test_a_gene_that_few_spots_express_spans_all_its_values() -> None:
    values = np.zeros(1000)
    values[5] = 3
    assert limits(values, Numeric()) == (0, 3, None)


def test_the_larger_side_sets_both_limits_around_a_centre() -> None:
    values = np.linspace(-1, 3, 1001)
    half = np.percentile(values, 99)
    assert limits(values, Numeric()) == (-half, half, 0.0)
    low, high, middle = limits(values, Numeric(vcenter=2))
    assert middle == 2
    assert high - 2 == pytest.approx(2 - low) == pytest.approx(2 - np.percentile(values, 1))


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        (Numeric(vmin=0), (0.0, None)),  # the user shows one sign only
        (Numeric(vmin=-2, vmax=7), (-2.0, 0.0)),
        (Numeric(vmin=-2, vmax=-1), (-2.0, None)),
    ],
)
def test_given_limits_decide_whether_there_is_a_centre(how: Numeric, expected: tuple[float, float | None]) -> None:
    low, _, middle = limits(np.linspace(-5, 5, 101), how)
    assert (low, middle) == expected


@pytest.mark.parametrize(
    "how", [Numeric(vmin=9), Numeric(vmin=1, vmax=1), Numeric(vcenter=0.5, vmin=0.6), Numeric(vmax=-1)]
)
def test_limits_in_the_wrong_order_are_an_error(how: Numeric) -> None:
    with pytest.raises(OptionError, match=r"vmin, vmax: found vmin=.*Leave one of them out"):
        limits(np.linspace(0, 1, 11), how)


@pytest.mark.parametrize("name", ["vmin", "vmax", "vcenter"])
@pytest.mark.parametrize(
    "value", [float("nan"), np.inf, "p101", "p", "p-1", "99", "max", "pp9", [1.0, 2.0], np.zeros(2), 1j], ids=repr
)
def test_a_limit_is_finite_or_a_percentile(name: str, value: Any) -> None:
    how = replace(Numeric(), **{name: value})
    with pytest.raises(OptionError, match=rf"{name}: found .*percentile 'p0' to 'p100'. Leave it out"):
        how.check()


@pytest.mark.parametrize("value", ["p0", "p99", "p99.9", "p.5", "p100", 3, np.float32(2), -1.5])
def test_what_a_limit_may_be(value: Any) -> None:
    how = Numeric(vmin=value, vmax=value, vcenter=value)
    how.check()
    values = np.arange(100.0)
    wanted = np.percentile(values, float(value[1:])) if isinstance(value, str) else value
    assert limits(values, Numeric(vmin=value, vmax=1000.0))[0] == pytest.approx(wanted)


def test_percentiles_are_of_all_values() -> None:
    values = np.random.default_rng(0).gamma(2, size=500)
    assert limits(values, Numeric(vmin="p5", vmax="p99.9")) == (*np.percentile(values, [5, 99.9]), None)
    low, high, middle = limits(values, Numeric(vcenter="p50"))
    assert middle == np.median(values)
    assert low < float(np.median(values)) < high


def test_percentiles_of_a_gene_that_few_spots_express_are_not_an_error() -> None:
    values = np.zeros(1000)
    values[5] = 3
    assert limits(values, Numeric(vmin="p1", vmax="p99")) == (0, 3, None)
    assert limits(values, Numeric(vmin=0, vmax="p99")) == (0, 3, None)
    with pytest.raises(OptionError, match="vmin, vmax"):
        limits(np.linspace(0, 1, 11), Numeric(vmin="p90", vmax="p10"))


@pytest.mark.parametrize("value", [3.5, -2.0, 1e-9, 1e9])
def test_a_constant_has_the_middle_colour(value: float) -> None:
    values = np.full(9, value)
    low, high, middle = limits(values, Numeric())
    assert (low + high) / 2 == pytest.approx(value)
    assert low < value < high
    assert middle is None
    assert is_constant(values, Numeric())
    assert not is_constant(values, Numeric(vmin=0))


def test_a_gene_that_no_spot_expresses_has_the_lowest_colour() -> None:
    assert limits(np.zeros(9), Numeric()) == (0, 1, None)
