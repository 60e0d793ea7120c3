"""Panels in their places: how large they are, and which image lies under each."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ._backdrop import backdrop
from ._layout import Size, laid_out
from ._panel import Panel
from ._text import INK, TITLE

_PAGE = 12.0  # inches: what a notebook shows before it shrinks the text
_WIDEST, _NARROWEST, _TALLEST = 4.4, 1.9, 5.5  # inches of a panel
_KEY = 0.9  # inches that a colour bar takes beside one
_GAP, _HEADING = 0.15, 0.35  # inches


@dataclass(frozen=True)
class Cell:
    """A panel and its place."""

    row: int
    column: int
    panel: Panel


def panel_size(cells: Sequence[Cell]) -> Size:
    """Width and height in inches of each panel."""
    view = cells[0].panel.view
    shape = view.height / view.width
    columns = 1 + max(cell.column for cell in cells)
    width = min(_WIDEST, max(_NARROWEST, _PAGE / columns - _KEY), _TALLEST / shape)
    return width, width * shape


def inches_of(ax: Axes) -> Size:
    """Width and height in inches of the user's axes."""
    box = ax.get_window_extent()
    dpi = ax.figure.get_dpi()
    return float(box.width / dpi), float(box.height / dpi)


def with_backdrops(cells: Sequence[Cell], size: Size) -> list[Cell]:
    """Read the image under each panel; panels that show the same share it."""
    views = {id(cell.panel.view): cell.panel.view for cell in cells}
    read = {key: backdrop(view, max(size)) for key, view in views.items()}
    return [replace(cell, panel=replace(cell.panel, backdrop=read[id(cell.panel.view)])) for cell in cells]


def draw(cells: Sequence[Cell], *, heading: str = "") -> Figure:
    """Make the figure."""
    draws = {(cell.row, cell.column): cell.panel.draw for cell in cells}
    figure = laid_out(draws, panel_size(cells), gap=_GAP, above=_HEADING if heading else 0.0)
    if heading:
        top = 1 - 0.3 * _HEADING / figure.get_figheight()
        figure.suptitle(heading, y=top, va="top", size=TITLE + 2, color=INK, parse_math=False)
    return figure
