"""What every kind of image file or array is turned into: levels made of cells, each decoded as a whole."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Scales are rounded in metadata (0.4990 for 0.5): an output finer than a level by this much still takes it.
_TOLERANCE = 0.01
_OFF = 0.25  # of an output pixel


class Level(ABC):
    """One resolution of an image, stored in a grid of cells: file tiles, strips, chunks, or the whole.

    Parameters
    ----------
    scale
        Pixels of the level per pixel of the image, in x and y.
    x_edges, y_edges
        Borders of the grid's columns and rows, from 0 to the level's width and height.
    slack
        Pixels of the image by which the level may lie off.
    """

    def __init__(
        self, scale: tuple[float, float], x_edges: NDArray[np.int64], y_edges: NDArray[np.int64], slack: float = 0.0
    ) -> None:
        self.scale, self.x_edges, self.y_edges, self.slack = scale, x_edges, y_edges, slack

    @property
    def width(self) -> int:
        """Columns of pixels."""
        return int(self.x_edges[-1])

    @property
    def height(self) -> int:
        """Rows of pixels."""
        return int(self.y_edges[-1])

    def corners(self, cell: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom border of a cell; cells are counted row by row."""
        row, column = divmod(int(cell), len(self.x_edges) - 1)
        x, y = self.x_edges, self.y_edges
        return int(x[column]), int(y[row]), int(x[column + 1]), int(y[row + 1])

    @abstractmethod
    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        """Yield each of ``cells`` with its pixels (rows, columns, channels), once, in the order of the file."""


def grid(length: int, step: int) -> NDArray[np.int64]:
    """Borders of cells of ``step`` pixels; the last may be smaller."""
    return np.append(np.arange(0, length, step, dtype=np.int64), length)


@dataclass(frozen=True)
class PixelSize:
    """Micrometres per pixel in x and y as some metadata states them, plausible or not."""

    where: str
    x: float
    y: float


@dataclass(frozen=True)
class Source:
    """An opened image.

    Parameters
    ----------
    name
        Path, or ``"array"``.
    levels
        Resolutions, the finest first; its scale is 1.
    n_channels, dtype
        Of the pixels that the levels yield.
    sha256
        Hash of the content, computed when called.
    close
        Lets go of the file.
    pixel_sizes
        What the metadata says, the most trusted first.
    looked
        Where micrometres per pixel were looked for, for the error message.
    """

    name: str
    levels: Sequence[Level]
    n_channels: int
    dtype: np.dtype
    sha256: Callable[[], str]
    close: Callable[[], None] = lambda: None
    pixel_sizes: tuple[PixelSize, ...] = ()
    looked: str = "arrays, JPEG and PNG carry none"

    def level_for(self, step: tuple[float, float]) -> Level:
        """Coarsest level that is still as fine as an output of ``step`` image pixels per output pixel."""
        fine = [
            level
            for level in self.levels
            if all(s * k >= 1 - _TOLERANCE for s, k in zip(level.scale, step, strict=True))
            and level.slack <= _OFF * min(step)
        ]
        return min(fine, key=lambda level: level.width, default=self.levels[0])
