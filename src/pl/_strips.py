"""Rows of framed tiles, each row with its name at the left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._layout import Size, laid_out
from ._text import INK, NORMAL, SMALL, wrapped

SIDE, GAP, CAPTION = 1.15, 0.1, 0.25  # inches
NAME, LINES = 1.6, 4  # inches and lines at most
_FRAME = 2.5  # points


@dataclass(frozen=True, eq=False)  # told apart by identity: a box is an array
class Tile:
    """A tile: row of the AnnData at ``index``, its section, and its x, y, w, h."""

    index: int
    library_id: str
    row: int
    box: NDArray


@dataclass(frozen=True)
class Strip:
    """A row of tiles: examples out of ``total`` of the same name and colour."""

    name: str
    color: str
    total: int
    tiles: Sequence[Tile]

    @property
    def label(self) -> str:
        """Name, and how many there are."""
        return f"{wrapped(self.name, NORMAL, NAME, LINES)}\n(n = {self.total:,})" if self.name else ""


def draw_strips(strips: Sequence[Strip], pixels: Mapping[Tile, NDArray], caption: str) -> Figure:
    """Make a figure with a row for each strip."""
    draws = {
        (row, column): partial(_draw, pixels=pixels[tile], color=strip.color, label="" if column else strip.label)
        for row, strip in enumerate(strips)
        for column, tile in enumerate(strip.tiles)
    }
    figure = laid_out(draws, (SIDE, SIDE), gap=GAP, below=CAPTION)
    write_below(figure, caption)
    return figure


def _draw(ax: Axes, size: Size, *, pixels: NDArray, color: str, label: str) -> None:
    draw_tile(ax, size, pixels=pixels, color=color, width=_FRAME)
    if label:
        name_row(ax, label)


def draw_tile(ax: Axes, _: Size, *, pixels: NDArray | None, color: str, width: float) -> None:
    """Draw a tile in a frame of ``width`` points; None is one that can't be shown."""
    if pixels is None:
        ax.text(0.5, 0.5, "no tile", size=SMALL, color=INK, ha="center", va="center", transform=ax.transAxes)
    else:
        ax.imshow(pixels, cmap="gray", aspect="auto")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color=color, linewidth=width)


def name_row(ax: Axes, label: str) -> None:
    """Write what a row is of at the left of its first tile."""
    ax.set_ylabel(label, size=NORMAL, color=INK, rotation=0, ha="right", va="center", labelpad=6, parse_math=False)


def write_below(figure: Figure, caption: str) -> None:
    """Write a caption into the band that a figure leaves free at its lower edge."""
    figure.supxlabel(caption, y=0.06 / figure.get_figheight(), va="bottom", size=NORMAL, color=INK)
