import tracemalloc
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from histoscribe.io.image._source import Level, grid
from histoscribe.io.image._sweep import sweep


class Counted(Level):
    """A painted level that counts how often each cell is decoded, and hands them out in an order of its own."""

    def __init__(self, pixels: NDArray, step: tuple[int, int], *, shuffled: bool = False) -> None:
        super().__init__((1.0, 1.0), grid(pixels.shape[1], step[0]), grid(pixels.shape[0], step[1]))
        self.pixels, self.shuffled = pixels, shuffled
        self.decoded: list[int] = []

    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        for cell in np.random.default_rng(0).permutation(cells).tolist() if self.shuffled else cells.tolist():
            self.decoded.append(cell)
            left, top, right, bottom = self.corners(cell)
            yield cell, self.pixels[top:bottom, left:right].copy()


def swept(level: Counted, windows: NDArray, background: int = 7) -> list[tuple[int, NDArray]]:
    n_channels = level.pixels.shape[2]
    return list(sweep(level, windows, n_channels=n_channels, dtype=level.pixels.dtype, background=background))


def test_windows_equal_slices_and_every_cell_is_decoded_once() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (101, 203, 3), dtype=np.uint8)
    padded = np.full((301, 403, 3), 7, dtype=np.uint8)
    padded[100:201, 100:303] = pixels
    corner = rng.integers(-99, [260, 160], (200, 2))
    windows = np.hstack([corner, corner + rng.integers(1, 40, (200, 2))])
    for shuffled in (False, True):
        level = Counted(pixels, (32, 16), shuffled=shuffled)
        found = dict(swept(level, windows))
        assert sorted(found) == list(range(200))
        for i, (left, top, right, bottom) in enumerate(windows):
            np.testing.assert_array_equal(found[i], padded[top + 100 : bottom + 100, left + 100 : right + 100])
        touched = {
            (y // 16) * 7 + x // 32
            for left, top, right, bottom in windows
            for x in range(max(left, 0), min(right, 203))
            for y in range(max(top, 0), min(bottom, 101))
        }
        assert sorted(level.decoded) == sorted(touched)


def test_windows_outside_are_background_and_read_nothing() -> None:
    level = Counted(np.zeros((50, 60, 1), dtype=np.uint8), (16, 16))
    outside = np.array([[-20, 0, 0, 10], [60, 0, 70, 10], [0, 50, 9, 60], [0, -9, 9, 0], [400, 400, 410, 410]])
    for _, window in swept(level, outside):
        assert (window == 7).all()
    assert level.decoded == []


def test_memory_is_that_of_the_windows_in_flight() -> None:
    level = Counted(np.zeros((20_000, 64, 1), dtype=np.uint8), (64, 64))
    top = np.arange(0, 19_800, 20)
    windows = np.column_stack([np.zeros_like(top), top, np.full_like(top, 64), top + 100])
    tracemalloc.start()
    for _ in sweep(level, windows, n_channels=1, dtype=np.dtype(np.uint8), background=0):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.1 * len(windows) * 6400
