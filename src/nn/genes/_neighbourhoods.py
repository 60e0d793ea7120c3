"""Neighbourhoods to learn from: groups of spots of one section, the most central spot of each first."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

ABSENT = -1
_LOOKED_AT = 4  # times the group's size: neighbours asked for at once, many of which are taken already

Groups = NDArray[np.int64]


def partition(
    xy: NDArray[np.float64],
    section: NDArray[np.integer],
    *,
    size: int,
    max_extent_um: float,
    seed: Sequence[int],
) -> Groups:
    """Share all spots out over groups of near ones, each spot in one group.

    Spots are visited in random order; each that is still free takes the nearest free ones of its section, none further
    than half of ``max_extent_um``. Isolated spots stay in groups that are not full.

    Parameters
    ----------
    xy
        Centres (n, 2), um; a spot without a position is a group of its own.
    section
        Section of each spot (n,); groups never cross sections.
    size
        Most spots of a group.
    max_extent_um
        Largest distance between two spots of a group.
    seed
        The same groups for the same numbers; give the epoch among them for other groups each time.

    Returns
    -------
    Rows (m, size), -1 where a group is not full; the spot with the smallest mean distance to the others comes first.
    """
    rng = np.random.default_rng(seed)
    alone = np.flatnonzero(~np.isfinite(xy).all(axis=1))
    parts = [_padded(alone[:, None], size)]
    for rows in _placed(xy, section):
        parts += [rows_of(rows, found) for found in _greedy(xy[rows], size, max_extent_um / 2, rng)]
    return central_first(np.concatenate(parts), xy)


def _placed(xy: NDArray[np.float64], section: NDArray[np.integer]) -> Iterator[NDArray[np.intp]]:
    """Rows of each section that have a position."""
    rows = np.flatnonzero(np.isfinite(xy).all(axis=1))
    rows = rows[np.argsort(section[rows], kind="stable")]
    changes = np.flatnonzero(np.diff(section[rows])) + 1
    yield from (own for own in np.split(rows, changes) if len(own))


def _greedy(xy: NDArray[np.float64], size: int, radius: float, rng: np.random.Generator) -> list[Groups]:
    free = rng.permutation(len(xy))
    found = []
    while len(free):
        # Spots whose list of neighbours runs out before the group is full wait for a tree of the free ones alone.
        groups, free = _round(xy, free, size, radius)
        found.append(groups)
    return found


def _round(
    xy: NDArray[np.float64], free: NDArray[np.intp], size: int, radius: float
) -> tuple[Groups, NDArray[np.intp]]:
    from ._taking import take_nearest  # numba is slow to import

    k = min(_LOOKED_AT * size, len(free))
    distance, near = cKDTree(xy[free]).query(xy[free], k=k, distance_upper_bound=np.nextafter(radius, np.inf))
    near = np.where(np.isfinite(distance), near, ABSENT).reshape(len(free), k)
    groups, taken = take_nearest(near, size)
    return rows_of(free, groups), free[~taken]


def around(
    xy: NDArray[np.float64],
    section: NDArray[np.integer],
    *,
    size: int,
    max_extent_um: float,
) -> Groups:
    """Make every spot the centre of a group with its nearest ones; groups overlap.

    Parameters and result are those of :func:`partition`; row i is the group of spot i, which comes first.
    """
    groups = _padded(np.arange(len(xy))[:, None], size)
    for rows in _placed(xy, section):
        k = min(size, len(rows))
        far = np.nextafter(max_extent_um / 2, np.inf)
        distance, near = cKDTree(xy[rows]).query(xy[rows], k=k, distance_upper_bound=far)
        near = np.where(np.isfinite(distance), near, ABSENT).reshape(len(rows), k)
        groups[rows] = rows_of(rows, _padded(_self_first(near), size))
    return groups


def _self_first(near: NDArray[np.integer]) -> NDArray[np.integer]:
    """Put each row itself in front, which another spot at the same place may have taken."""
    own = np.arange(len(near))[:, None]
    others = np.where(near == own, ABSENT, near)
    order = np.argsort(others == ABSENT, axis=1, kind="stable")[:, : near.shape[1] - 1]
    return np.hstack([own, np.take_along_axis(others, order, axis=1)])


def rows_of(rows: NDArray[np.integer], groups: Groups) -> Groups:
    """Turn groups of positions in ``rows`` into groups of rows."""
    return np.where(groups == ABSENT, ABSENT, rows[groups])


def central_first(groups: Groups, xy: NDArray[np.float64]) -> Groups:
    """Move the spot with the smallest mean distance to the others of its group to the front; the rest stay in order."""
    there = groups != ABSENT
    pairs = there[:, :, None] & there[:, None, :]
    places = xy[np.where(there, groups, 0)]
    distance = np.linalg.norm(places[:, :, None] - places[:, None], axis=-1)  # m size size
    total = np.where(there, np.where(pairs, distance, 0).sum(axis=2), np.inf)
    total[there.sum(axis=1) < 3] = 0  # of two, neither is more central
    slot = np.arange(groups.shape[1])
    order = np.argsort(slot[None] != total.argmin(axis=1)[:, None], axis=1, kind="stable")
    return np.take_along_axis(groups, order, axis=1)


def _padded(groups: NDArray[np.integer], size: int) -> Groups:
    short = size - groups.shape[1]
    return np.pad(groups.astype(np.int64), ((0, 0), (0, short)), constant_values=ABSENT)
