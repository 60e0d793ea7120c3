"""What the verdict on a section rests on, and positions that lie on no array."""

import numpy as np
import pytest
from numpy.typing import NDArray

from histoscribe.pp._array import find_array
from histoscribe.pp._checks_of_array import Check, array_checks, untold
from histoscribe.pp._verdict import verdict


def hexagons(apart: float, jitter: float = 0.0) -> NDArray[np.float64]:
    """Positions (n, 2) with six neighbours each."""
    rows, columns = np.mgrid[:16, :16]
    xy = apart * np.column_stack([(columns + rows % 2 / 2).ravel(), (rows * 3**0.5 / 2).ravel()])
    return np.asarray(xy + np.random.default_rng(0).normal(0, jitter * apart, xy.shape))


def squares(apart: float) -> NDArray[np.float64]:
    return apart * np.argwhere(np.ones((16, 16))).astype(float)


OTHERS = {
    "squares": squares(100.0),
    "fine hexagons": hexagons(10.0),
    "packed cells": hexagons(10.0, 0.08),
    "wide rough hexagons": hexagons(250.0, 0.08),
    "strewn": np.random.default_rng(0).uniform(0, 1000, (256, 2)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_cells_and_bins_without_indices_lie_on_no_known_array(name: str) -> None:
    array = find_array(None, OTHERS[name], 1.0)
    assert array is None
    checks = array_checks(array, 1.0, indexed=False)
    assert [one.ok for one in checks] == [None] * 4
    assert all("obs lacks array_row" in one.advice for one in checks)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_printed_lattice_is_known_at_any_scale(factor: float) -> None:
    pitch = array_checks(find_array(None, hexagons(100.0), factor), factor, indexed=False)[0]
    assert pitch.value == pytest.approx(100 * factor)
    assert pitch.ok is (factor == 1)


def test_fine_bins_with_indices_are_no_wrong_scale() -> None:
    array = find_array(squares(1.0), squares(8.0), 1.0)
    checks = array_checks(array, 1.0, indexed=True)
    assert [one.ok for one in checks] == [None] * 4
    assert not any("lacks" in one.advice for one in checks)


def test_a_fit_rests_on_scale_or_pitch_and_says_if_um_are_unconfirmed() -> None:
    names = ("pitch", "places", "stretch", "handedness", "file scale", "tissue", "orientation", "scale", "counts")
    good = {name: Check(name, "as linked", 0.0, "", "", ok=True) for name in (*names, "shift", "outline")}
    unknown = {name: untold(name, "Why.") for name in good}
    assert verdict(list(good.values())).ok
    assert not verdict(list(good.values())).advice
    for missing in ("scale", "pitch"):
        assert verdict(list((good | {missing: unknown[missing]}).values())).ok
    both = verdict(list((good | {name: unknown[name] for name in ("scale", "pitch")}).values()))
    assert both.ok is None
    assert "right scale" in both.found
    unconfirmed = verdict(list((good | {name: unknown[name] for name in ("pitch", "file scale")}).values()))
    assert unconfirmed.ok
    assert "confirms the um per pixel" in unconfirmed.advice
