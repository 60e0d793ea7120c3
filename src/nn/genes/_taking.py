"""The greedy loop of neighbourhoods: each row that is still free takes the nearest free ones of its list."""

import numpy as np
from numpy.typing import NDArray

from ..._jit import Array, kernel


def take_nearest(near: NDArray[np.integer], size: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Let each row that is still free take the nearest free ones of its list, unless the list may be too short.

    Parameters
    ----------
    near
        Rows (n, k) by distance, itself first; -1 where no more are near enough.
    size
        Most rows of a group.

    Returns
    -------
    Groups (m, size), and which rows are in one.
    """
    groups = np.full((len(near), size), -1, dtype=np.int64)
    taken = np.zeros(len(near), dtype=np.bool_)
    n_groups = _take(near.astype(np.int64, copy=False), groups, taken)
    return groups[:n_groups].copy(), taken


@kernel
def _take(near: Array, groups: Array, taken: Array) -> int:
    (n, k), size, m = near.shape, groups.shape[1], 0
    for own in range(n):
        if taken[own]:
            continue
        filled, ended = 0, k == n
        for row in near[own]:
            if row < 0:
                ended = True
            elif not taken[row] and filled < size:
                groups[m, filled] = row
                filled += 1
        if filled < size and not ended:  # there may be more beyond the list
            groups[m, :filled] = -1
            continue
        for slot in range(filled):
            taken[groups[m, slot]] = True
        m += 1
    return m
