import numpy as np
import pytest
from scipy.spatial import cKDTree

from histoscribe.nn.genes._curve import along_curve
from histoscribe.nn.genes._strata import n_strata, strata


def _grid(side: int, pitch: float) -> np.ndarray:
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * pitch
    return xy[along_curve(xy)]


@pytest.mark.parametrize(("pitch", "extent", "wanted"), [(100, 600, 1), (200, 1200, 1), (16, 300, 10), (25, 300, 4)])
def test_a_part_is_as_dense_as_a_grid_of_a_sixth_of_the_extent(pitch: float, extent: float, wanted: int) -> None:
    assert n_strata(_grid(80, pitch), extent) == wanted


def test_cells_at_random_places_are_shared_out_by_density_too() -> None:
    xy = np.random.default_rng(0).uniform(0, 2000, (16_000, 2))  # 10 in 50 x 50 um
    assert n_strata(xy, 300) == pytest.approx(10, abs=1)
    assert n_strata(xy[:3], 300) == 1
    assert n_strata(np.full((5, 2), np.nan), 300) == 1


def test_of_spots_that_follow_each_other_each_part_gets_one() -> None:
    xy = _grid(64, 16)
    found = strata(len(xy), 9, [0, 1])
    for start in range(0, len(xy) - 9, 9):
        assert sorted(found[start : start + 9]) == list(range(9))
    nearest = [cKDTree(xy[found == k]).query(xy[found == k], k=2)[0][:, 1].mean() for k in range(9)]
    assert min(nearest) > 0.6 * 48  # drawn one by one: 0.5
    assert not np.array_equal(found, strata(len(xy), 9, [0, 2]))
    assert np.array_equal(found, strata(len(xy), 9, [0, 1]))
