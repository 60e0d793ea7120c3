"""Limits of colours."""

from dataclasses import replace

import numpy as np
import pytest

from histoscribe._errors import OptionError
from histoscribe.pl._numbers import Numeric, limits


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
def test_limits_are_finite(name: str) -> None:
    how = replace(Numeric(), **{name: float("nan")})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=f"{name}: found nan"):
        how.check()
