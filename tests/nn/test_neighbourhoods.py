import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist, pdist

from histoscribe.nn.genes._neighbourhoods import ABSENT, Groups, central_first
from histoscribe.nn.genes._neighbourhoods import around as around_of
from histoscribe.nn.genes._neighbourhoods import partition as partition_of
from histoscribe.nn.genes._taking import take_nearest

EXTENT_UM = 600.0


def partition(xy: NDArray[np.float64], section: NDArray[np.integer], seed: list[int]) -> Groups:
    return partition_of(xy, section, size=9, max_extent_um=EXTENT_UM, seed=seed)


def around(xy: NDArray[np.float64], section: NDArray[np.integer]) -> Groups:
    return around_of(xy, section, size=9, max_extent_um=EXTENT_UM)


def _grid(side: int, pitch: float = 100.0) -> NDArray[np.float64]:
    rows, cols = np.mgrid[:side, :side]
    return np.column_stack([cols.ravel(), rows.ravel()]) * pitch


def _greedy_by_hand(xy: NDArray[np.float64], size: int, radius: float, order: NDArray[np.intp]) -> list[set[int]]:
    """Visit spots in order; each free one takes its nearest free ones, from all of them."""
    free, groups = set(order.tolist()), []
    for spot in order.tolist():
        if spot in free:
            near = sorted(free, key=lambda other: (np.linalg.norm(xy[other] - xy[spot]), other))
            group = [other for other in near if np.linalg.norm(xy[other] - xy[spot]) <= radius][:size]
            free -= set(group)
            groups.append(set(group))
    return groups


def test_each_spot_is_in_one_group_of_its_section_and_near() -> None:
    rng = np.random.default_rng(0)
    xy = np.concatenate([rng.uniform(0, 3000, (500, 2)), rng.uniform(0, 3000, (7, 2)), rng.uniform(0, 9e5, (40, 2))])
    section = np.repeat([0, 1, 2], [500, 7, 40])
    groups = partition(xy, section, seed=[0, 0])
    held = groups[groups != ABSENT]
    assert sorted(held) == list(range(len(xy)))
    for group in groups:
        own = group[group != ABSENT]
        assert len(set(section[own])) == 1
        assert pdist(xy[own]).max(initial=0) <= EXTENT_UM
    assert (groups[np.isin(groups[:, 0], np.flatnonzero(section == 0))] != ABSENT).sum(axis=1).mean() > 6


def test_the_nearest_free_ones_are_taken() -> None:
    # One list of all neighbours, so that no seed has to wait: the order of visits is that of the permutation.
    xy = np.random.default_rng(1).uniform(0, 800, (30, 2))
    order = np.random.default_rng([4]).permutation(30)
    found = partition(xy, np.zeros(30, dtype=int), seed=[4])
    by_hand = _greedy_by_hand(xy, 9, 300, order)
    assert sorted(map(sorted, by_hand)) == sorted(sorted(g[g != ABSENT].tolist()) for g in found)


def test_a_list_that_may_be_too_short_waits() -> None:
    near = np.array([[0, 1], [1, 0], [2, 1], [3, 1]])
    groups, taken = take_nearest(near, 2)
    assert groups.tolist() == [[0, 1]]  # 2 and 3 have lost the only neighbour that they know
    assert taken.tolist() == [True, True, False, False]


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_small_sections_work(n: int) -> None:
    xy = np.random.default_rng(n).uniform(0, 100, (n, 2))
    groups = partition(xy, np.zeros(n, dtype=int), seed=[0])
    assert groups.shape == (1, 9)
    assert sorted(groups[groups != ABSENT]) == list(range(n))


def test_a_spot_without_a_position_is_alone() -> None:
    xy = _grid(4)
    xy[5] = np.nan
    for groups in (partition(xy, np.zeros(16, dtype=int), seed=[0]), around(xy, np.zeros(16, dtype=int))):
        (own,) = (group for group in groups if 5 in group)
        assert own.tolist() == [5] + [ABSENT] * 8


def test_same_seed_same_groups_another_epoch_others() -> None:
    xy, section = _grid(20), np.zeros(400, dtype=int)
    first, again, other = (partition(xy, section, seed=seed) for seed in ([0, 1], [0, 1], [0, 2]))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[: len(other)], other[: len(first)])


def test_the_central_spot_comes_first() -> None:
    xy = np.random.default_rng(0).uniform(0, 1000, (200, 2))
    for group in partition(xy, np.zeros(200, dtype=int), seed=[0]):
        own = group[group != ABSENT]
        if len(own) > 2:
            assert cdist(xy[own], xy[own]).mean(axis=1).argmin() == 0
    assert central_first(np.array([[3, 1, ABSENT]]), xy).tolist() == [[3, 1, ABSENT]]


def test_around_is_each_spot_with_its_nearest() -> None:
    rng = np.random.default_rng(2)
    xy, section = rng.uniform(0, 2000, (300, 2)), rng.integers(0, 3, 300)
    xy[17] = xy[16]  # two at one place
    section[17] = section[16]
    groups = around(xy, section)
    for spot, group in enumerate(groups):
        distance = np.where(section == section[spot], np.linalg.norm(xy - xy[spot], axis=1), np.inf)
        distance[spot] = -1
        wanted = [k for k in np.argsort(distance, kind="stable")[:9] if distance[k] <= 300]
        assert group[0] == spot
        np.testing.assert_allclose(distance[group[group != ABSENT]], distance[wanted])
