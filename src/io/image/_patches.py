"""Boxes of an image read as patches: the right level, one sweep over its cells, sub-pixel resampling."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from ._pixels import background
from ._resample import resample, windows_of
from ._source import Level, Source
from ._sweep import sweep

_BATCH = 64
_BYTES_AT_ONCE = 1 << 25
_ROUNDING = 1e-6  # pixels
_THREADS = min(4, os.cpu_count() or 1)
_PIECE = 512  # pixels of a level that one piece of a large region is made from, along each side


def patches(source: Source, boxes: NDArray[np.float64], sizes: NDArray[np.int64]) -> Iterator[tuple[int, NDArray]]:
    """Yield row and pixels of each box, from the coarsest level that is fine enough for all.

    Parameters
    ----------
    source
        The image.
    boxes
        Left, top, right, bottom (n, 4), pixels of the image.
    sizes
        Columns and rows of each output (n, 2).
    """
    if not len(boxes):
        return
    step_x, step_y = ((boxes[:, 2:] - boxes[:, :2]) / sizes).min(axis=0)
    level = source.level_for((step_x, step_y))
    boxes = boxes * np.tile(level.scale, 2)
    windows = _clipped(windows_of(boxes, sizes), boxes, level)
    outside = background(source.dtype, source.n_channels)

    def cut(i: int, window: NDArray) -> NDArray:
        return resample(window, boxes[i] - np.tile(windows[i, :2], 2), sizes[i])

    read = sweep(level, windows, n_channels=source.n_channels, dtype=source.dtype, background=outside)
    with ThreadPoolExecutor(_THREADS) as pool:  # Pillow lets go of the interpreter
        for some in _gathered(read):
            yield from pool.map(lambda item: (item[0], cut(*item)), some)


def _clipped(windows: NDArray[np.int64], boxes: NDArray[np.float64], level: Level) -> NDArray[np.int64]:
    """Cut windows off at the border where their box ends inside: no background is mixed into what is all image."""
    size = np.array([level.width, level.height])
    start = np.where(boxes[:, :2] > -_ROUNDING, np.maximum(windows[:, :2], 0), windows[:, :2])
    stop = np.where(boxes[:, 2:] < size + _ROUNDING, np.minimum(windows[:, 2:], size), windows[:, 2:])
    return np.hstack([start, stop])


def _gathered(read: Iterator[tuple[int, NDArray]]) -> Iterator[list[tuple[int, NDArray]]]:
    """List windows that are worth being shared between threads, and few enough to be held at once."""
    some, nbytes = [], 0
    for item in read:
        some.append(item)
        nbytes += item[1].nbytes
        if len(some) == _BATCH or nbytes > _BYTES_AT_ONCE:
            yield some
            some, nbytes = [], 0
    yield some


def batches(source: Source, boxes: NDArray[np.float64], size: int) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
    """Gather :func:`patches` of one size: rows (k,) and pixels (k, size, size, channels)."""
    rows: list[int] = []
    batch = np.empty((_BATCH, size, size, source.n_channels), dtype=source.dtype)
    for row, patch in patches(source, boxes, np.full((len(boxes), 2), size, dtype=np.int64)):
        batch[len(rows)] = patch
        rows.append(row)
        if len(rows) == _BATCH:
            yield np.array(rows, dtype=np.intp), batch
            rows, batch = [], np.empty_like(batch)
    if rows:
        yield np.array(rows, dtype=np.intp), batch[: len(rows)]


def region(source: Source, box: NDArray[np.float64], size: NDArray[np.int64]) -> NDArray:
    """Read one box of any size, piece by piece, so that no window is much larger than a piece."""
    step = (box[2:] - box[:2]) / size
    level = source.level_for((step[0], step[1]))
    piece = np.maximum(1, _PIECE / (step * level.scale)).astype(np.int64)
    grid = np.meshgrid(np.arange(0, size[0], piece[0]), np.arange(0, size[1], piece[1]))
    start = np.column_stack([axis.ravel() for axis in grid])
    stop = np.minimum(start + piece, size)
    out = np.empty((size[1], size[0], source.n_channels), dtype=source.dtype)
    corner = np.tile(box[:2], 2)
    for i, patch in patches(source, corner + np.hstack([start, stop]) * np.tile(step, 2), stop - start):
        out[start[i, 1] : stop[i, 1], start[i, 0] : stop[i, 0]] = patch
    return out
