"""Dense spots shared out, so that a neighbourhood of few of them still reaches as far as it should."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

_ASKED = 256  # spots whose neighbours are counted
_WITHIN = 9 * np.pi  # spots of a square grid whose pitch is a sixth of the extent, within half of the extent


def n_strata(xy: NDArray[np.float64], max_extent_um: float) -> int:
    """Count the parts into which spots are shared out, so that those of one are about a sixth of the extent apart.

    Parameters
    ----------
    xy
        Centres (n, 2), um.
    max_extent_um
        Largest distance between two spots of a group.
    """
    placed = xy[np.isfinite(xy).all(axis=1)]
    if not len(placed):
        return 1
    asked = placed[np.linspace(0, len(placed) - 1, min(_ASKED, len(placed))).astype(int)]
    counts = cKDTree(placed).query_ball_point(asked, max_extent_um / 2, return_length=True)
    return max(1, round(float(np.median(counts)) / _WITHIN))


def strata(n: int, n_strata: int, seed: Sequence[int]) -> NDArray[np.int64]:
    """Share spots that stand along a curve out at random: of each few that follow each other, one to each part."""
    rng = np.random.default_rng(seed)
    turns = np.tile(np.arange(n_strata), (-(-n // n_strata), 1))
    return rng.permuted(turns, axis=1).ravel()[:n]
