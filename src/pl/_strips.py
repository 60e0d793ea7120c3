"""Rows of framed tiles, each row with its name at the left."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ._text import INK, NORMAL, width, wrapped

_SIDE, _GAP = 1.15, 0.1  # inches
_NAME, _CAPTION = 1.6, 0.3  # inches
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
        return f"{wrapped(self.name, NORMAL, _NAME)}\n(n = {self.total:,})" if self.name else ""


def draw_strips(strips: Sequence[Strip], pixels: Mapping[Tile, NDArray], caption: str) -> Figure:
    """Make a figure with a row for each strip."""
    columns = max(len(strip.tiles) for strip in strips)
    labels = max(width(line.replace("$", "S"), NORMAL) for strip in strips for line in [*strip.label.splitlines(), ""])
    figure = plt.figure(
        figsize=(columns * (_SIDE + _GAP) + labels + 2 * _GAP, len(strips) * (_SIDE + _GAP) + _CAPTION),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=_GAP / 2, h_pad=_GAP / 2, wspace=0, hspace=0)
    axes = figure.subplots(len(strips), columns, squeeze=False)
    for strip, row in zip(strips, axes, strict=True):
        for ax in row[len(strip.tiles) :]:
            ax.remove()
        for ax, tile in zip(row, strip.tiles, strict=False):
            _draw(ax, pixels[tile], strip.color)
        row[0].set_ylabel(
            strip.label, size=NORMAL, color=INK, rotation=0, ha="right", va="center", labelpad=6, parse_math=False
        )
    figure.supxlabel(caption, size=NORMAL, color=INK)
    return figure


def _draw(ax: Axes, pixels: NDArray, color: str) -> None:
    ax.imshow(pixels, cmap="gray")
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color=color, linewidth=_FRAME)
