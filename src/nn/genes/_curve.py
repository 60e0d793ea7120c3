"""An order of places in which neighbours are mostly near each other: along a Hilbert curve."""

import numpy as np
from numpy.typing import NDArray

_BITS = 16


def along_curve(xy: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the rows of places (n, 2) along a Hilbert curve; those without a position come last.

    References
    ----------
    Hilbert 1891, Mathematische Annalen 38:459.
    """
    xy = np.asarray(xy, dtype=np.float64)
    placed = np.isfinite(xy).all(axis=1)
    step = np.full(len(xy), 1 << 2 * _BITS, dtype=np.int64)
    if placed.any():
        low = xy[placed].min(axis=0)
        span = max(float((xy[placed] - low).max()), np.finfo(float).tiny)
        cell = ((xy[placed] - low) / span * ((1 << _BITS) - 1)).astype(np.int64)
        step[placed] = steps(cell[:, 0], cell[:, 1], _BITS)
    return np.argsort(step, kind="stable")


def steps(x: NDArray[np.int64], y: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    """Return the number of each cell of a grid of 2^bits x 2^bits on the curve."""
    step = np.zeros_like(x)
    for bit in reversed(range(bits)):
        side = 1 << bit
        right, up = x >> bit & 1, y >> bit & 1
        step += ((3 * right) ^ up) << 2 * bit
        # Within its quarter the curve is turned: mirrored in the last one, and its axes exchanged in both lower ones.
        x, y = x & (side - 1), y & (side - 1)
        mirrored = (up == 0) & (right == 1)
        x, y = np.where(mirrored, side - 1 - x, x), np.where(mirrored, side - 1 - y, y)
        x, y = np.where(up == 0, y, x), np.where(up == 0, x, y)
    return step
