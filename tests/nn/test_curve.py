import numpy as np
import pytest

from histoscribe.nn.genes._curve import along_curve, steps


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_the_curve_passes_each_cell_once_and_never_jumps(bits: int) -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(1 << bits), np.arange(1 << bits)))
    step = steps(x, y, bits)
    assert sorted(step) == list(range(4**bits))
    order = np.argsort(step)
    assert (abs(np.diff(x[order])) + abs(np.diff(y[order])) == 1).all()


def test_neighbours_on_the_curve_are_near_in_any_unit_and_place() -> None:
    xy = np.random.default_rng(0).uniform(0, 1, (4000, 2)) * [5000, 3000] - 1e5
    apart = np.linalg.norm(np.diff(xy[along_curve(xy)], axis=0), axis=1)
    assert np.median(apart) < 2 * np.sqrt(5000 * 3000 / 4000)
    assert np.array_equal(along_curve(xy), along_curve(xy * 7 + 3))


def test_spots_at_one_place_keep_their_order_and_those_without_come_last() -> None:
    xy = np.array([[np.nan, 1], [5, 5], [5, 5], [0, np.inf], [5, 5]])
    assert along_curve(xy).tolist() == [1, 2, 4, 0, 3]
    assert along_curve(np.zeros((0, 2))).tolist() == []
