"""Grids of tiles on an image, and how much tissue they hold."""

import numpy as np
from numpy.typing import NDArray


def grid(width: int, height: int, side: float) -> tuple[NDArray[np.float64], int]:
    """Square boxes x, y, w, h (n, 4) that cover an image row by row, and their number a row.

    The last ones of a row and column may reach over the border.
    """
    x, y = np.arange(0, width, side), np.arange(0, height, side)
    corners = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return np.hstack([corners, np.full_like(corners, side)]), len(x)


def tissue_share(mask: NDArray[np.bool_], boxes: NDArray[np.float64]) -> NDArray[np.float32]:
    """Share of each box (n, 4), in pixels of the mask, that is tissue; exact for boxes that cut through pixels."""
    summed = np.zeros((mask.shape[0] + 1, mask.shape[1] + 1))
    summed[1:, 1:] = mask.cumsum(axis=0).cumsum(axis=1)
    left, top, width, height = boxes.T
    right, bottom = left + width, top + height
    inside = _at(summed, bottom, right) - _at(summed, top, right) - _at(summed, bottom, left) + _at(summed, top, left)
    return (inside / (width * height)).astype(np.float32)


def _at(summed: NDArray[np.float64], y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tissue area above and left of the points: the integral image is bilinear between pixel corners."""
    y, x = np.clip(y, 0, summed.shape[0] - 1), np.clip(x, 0, summed.shape[1] - 1)
    i, j = np.minimum(y.astype(int), summed.shape[0] - 2), np.minimum(x.astype(int), summed.shape[1] - 2)
    v, u = y - i, x - j
    above = summed[i, j] * (1 - u) + summed[i, j + 1] * u
    below = summed[i + 1, j] * (1 - u) + summed[i + 1, j + 1] * u
    return above * (1 - v) + below * v
