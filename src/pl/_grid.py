"""Figures of many panels: how large each is, and where its key goes."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from ._panel import Panel

_PAGE = 12.0  # inches, what a notebook shows without shrinking text beyond reading
_WIDEST, _NARROWEST, _TALLEST = 4.4, 1.9, 5.5  # inches of a panel
_PAD = 0.06  # inches around each


@dataclass(frozen=True)
class Cell:
    """A panel and its place."""

    row: int
    column: int
    panel: Panel


def panel_size(shape: float, columns: int, keys: float = 0.9) -> tuple[float, float]:
    """Width and height in inches of each panel, from height over width and the inches taken by keys."""
    width = min(_WIDEST, max(_NARROWEST, _PAGE / columns - keys))
    height = width * shape
    return (width, height) if height <= _TALLEST else (_TALLEST / shape, _TALLEST)


def draw(cells: Sequence[Cell], size: tuple[float, float]) -> Figure:
    """Make a figure of panels of one size in inches, each with its key at its right."""
    width, height = size
    rows, columns = (1 + max(getattr(cell, axis) for cell in cells) for axis in ("row", "column"))
    keys = [max((c.panel.key_width(height) for c in cells if c.column == k), default=0.0) for k in range(columns)]
    titles = sum(_title_height([c.panel for c in cells if c.row == r]) for r in range(rows))
    left = 0.25 if any(cell.panel.row_label for cell in cells) else 0.0
    figure = plt.figure(
        figsize=(columns * (width + 2 * _PAD) + sum(keys) + left, rows * (height + 2 * _PAD) + titles),
        layout="constrained",
    )
    figure.get_layout_engine().set(w_pad=_PAD, h_pad=_PAD, wspace=0, hspace=0)
    axes = figure.subplots(rows, columns, squeeze=False)
    used = {(cell.row, cell.column) for cell in cells}
    for cell in cells:
        cell.panel.draw(axes[cell.row, cell.column], size)
    for row in range(rows):
        for column in range(columns):
            if (row, column) not in used:
                axes[row, column].set_axis_off()
    return figure


def wrap(panels: Sequence[Panel], columns: int) -> list[Cell]:
    """Place panels row by row."""
    return [Cell(i // columns, i % columns, panel) for i, panel in enumerate(panels)]


def balanced(n: int, most: int) -> int:
    """Columns for ``n`` panels: as many as allowed, but no row that is nearly empty."""
    return ceil(n / ceil(n / most))


def _title_height(panels: Sequence[Panel]) -> float:
    if not any(panel.title or panel.letter for panel in panels):
        return 0.0
    return 0.24
