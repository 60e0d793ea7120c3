"""Figures of many panels: how large each is, how much room its key has, and which image lies under it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._backdrop import backdrop
from ._panel import Panel

_PAGE = 12.0  # inches: what a notebook shows before it shrinks the text
_WIDEST, _NARROWEST, _TALLEST = 4.4, 1.9, 5.5  # inches of a panel
_KEY = 0.9  # inches, usual
_PAD = 0.06  # inches around each panel
_TITLE_ROW, _ROW_LABEL = 0.22, 0.25  # inches


@dataclass(frozen=True)
class Cell:
    """A panel and its place."""

    row: int
    column: int
    panel: Panel


def panel_size(cells: Sequence[Cell]) -> tuple[float, float]:
    """Width and height in inches of each panel."""
    view = cells[0].panel.view
    shape = view.height / view.width
    width = min(_WIDEST, max(_NARROWEST, _PAGE / _count(cells, "column") - _KEY), _TALLEST / shape)
    return width, width * shape


def inches_of(ax: Axes) -> tuple[float, float]:
    """Width and height in inches of the user's axes."""
    box = ax.get_window_extent()
    dpi = ax.figure.get_dpi()
    return float(box.width / dpi), float(box.height / dpi)


def with_backdrops(cells: Sequence[Cell], size: tuple[float, float]) -> list[Cell]:
    """Read the image under each panel; panels that show the same share it."""
    views = {id(cell.panel.view): cell.panel.view for cell in cells}
    read = {key: backdrop(view, max(size)) for key, view in views.items()}
    return [replace(cell, panel=replace(cell.panel, backdrop=read[id(cell.panel.view)])) for cell in cells]


def draw(cells: Sequence[Cell]) -> Figure:
    """Make a figure with each panel in its place and its key at its right."""
    size = panel_size(cells)
    n_rows, n_columns = _count(cells, "row"), _count(cells, "column")
    figure = plt.figure(figsize=_figure_size(cells, size), layout="constrained")
    figure.get_layout_engine().set(w_pad=_PAD, h_pad=_PAD, wspace=0, hspace=0)
    axes = figure.subplots(n_rows, n_columns, squeeze=False)
    for cell in cells:
        cell.panel.draw(axes[cell.row, cell.column], size)
    used = {(cell.row, cell.column) for cell in cells}
    for row, column in {(r, c) for r in range(n_rows) for c in range(n_columns)} - used:
        axes[row, column].remove()
    return figure


def _figure_size(cells: Sequence[Cell], size: tuple[float, float]) -> tuple[float, float]:
    width, height = size
    columns, rows = _count(cells, "column"), _count(cells, "row")
    keys = [max((c.panel.key_width(size) for c in cells if c.column == k), default=0.0) for k in range(columns)]
    titles = [max((c.panel.title_lines(size) for c in cells if c.row == k), default=0) for k in range(rows)]
    label = _ROW_LABEL * any(cell.panel.row_label for cell in cells)
    return (
        columns * (width + 2 * _PAD) + sum(keys) + label,
        rows * (height + 2 * _PAD) + sum(_TITLE_ROW * lines for lines in titles),
    )


def _count(cells: Sequence[Cell], axis: str) -> int:
    return 1 + max(getattr(cell, axis) for cell in cells)
