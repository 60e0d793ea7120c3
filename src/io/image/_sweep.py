"""One pass over a level: each cell is decoded once and handed to all windows that touch it."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ._source import Level


def sweep(
    level: Level, windows: NDArray[np.int64], *, n_channels: int, dtype: np.dtype, background: int
) -> Iterator[tuple[int, NDArray]]:
    """Yield each window's index and pixels as soon as its last cell is decoded.

    What is held at any time are the windows begun and not done: in file order, those along one row of cells.

    Parameters
    ----------
    level
        Where to read.
    windows
        Left, top, right, bottom (n, 4) in pixels of the level; may reach over the border.
    n_channels, dtype, background
        Of the pixels; the last is what lies outside.
    """
    window_of, cell_of, n_cells = _pairs(level, windows)
    cells, first = np.unique(cell_of, return_index=True)
    touching = dict(zip(cells.tolist(), np.split(window_of, first[1:]), strict=False))
    sizes = windows[:, [3, 2]] - windows[:, [1, 0]]

    def blank(i: int) -> NDArray:
        return np.full((*sizes[i], n_channels), background, dtype=dtype)

    for i in np.flatnonzero(n_cells == 0).tolist():
        yield i, blank(i)
    begun: dict[int, NDArray] = {}
    left = n_cells.copy()
    for cell, pixels in level.decode(cells):
        corners = level.corners(cell)
        for i in touching[cell].tolist():
            if n_cells[i] == 1 and _inside(windows[i], corners):
                yield i, _part(pixels, corners, windows[i])
                continue
            if i not in begun:
                begun[i] = blank(i)
            _part(begun[i], windows[i], corners)[:] = _part(pixels, corners, windows[i])
            left[i] -= 1
            if not left[i]:
                yield i, begun.pop(i)


def _pairs(level: Level, windows: NDArray[np.int64]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.int64]]:
    """List which window touches which cell, ordered by cell; and count the cells of each window."""
    column, n_columns = _span(level.x_edges, windows[:, 0], windows[:, 2])
    row, n_rows = _span(level.y_edges, windows[:, 1], windows[:, 3])
    n_cells = n_columns * n_rows
    window = np.repeat(np.arange(len(windows)), n_cells)
    k = np.arange(len(window)) - np.repeat(np.cumsum(n_cells) - n_cells, n_cells)
    down, across = np.divmod(k, n_columns[window])
    cell = (row[window] + down) * (len(level.x_edges) - 1) + column[window] + across
    order = np.argsort(cell, kind="stable")
    return window[order], cell[order], n_cells


def _span(
    edges: NDArray[np.int64], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First cell, and number of cells, that the pixels from ``start`` to ``stop`` lie in."""
    first = np.clip(np.searchsorted(edges, start, side="right") - 1, 0, None)
    last = np.clip(np.searchsorted(edges, stop, side="left"), None, len(edges) - 1)
    return first, np.maximum(last - first, 0)


def _inside(window: NDArray[np.int64], corners: tuple[int, int, int, int]) -> bool:
    return bool(
        window[0] >= corners[0] and window[1] >= corners[1] and window[2] <= corners[2] and window[3] <= corners[3]
    )


def _part(pixels: NDArray, own: tuple[int, ...] | NDArray, other: tuple[int, ...] | NDArray) -> NDArray:
    """View of the pixels of one box that lie in another; both as left, top, right, bottom."""
    left, top = max(own[0], other[0]) - own[0], max(own[1], other[1]) - own[1]
    right, bottom = min(own[2], other[2]) - own[0], min(own[3], other[3]) - own[1]
    return pixels[top:bottom, left:right]
