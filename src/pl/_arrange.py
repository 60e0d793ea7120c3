"""Which panel shows what, and where: sections by variables."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from .._errors import OptionError
from ._grid import Cell
from ._panel import Paint, Panel
from ._spots import Spots
from ._views import View, log_without_scale


def arrange(
    shown: Sequence[View], made: Sequence[Paint | None], *, ncols: int, spots: Spots, scale_bar: bool, legend: bool
) -> list[Cell]:
    """Place the panels: sections in rows and variables in columns, or a wrapped grid where there is one of either."""
    if ncols < 1:
        raise OptionError("ncols", found=repr(ncols), expected="1 or more", fix="Leave it out.")
    if scale_bar:
        log_without_scale(shown)
    variables = made or [None]
    cells = []
    for i, view in enumerate(shown):
        for k, paint in enumerate(variables):
            panel = Panel(view, paint, spots=spots, has_scale_bar=scale_bar and k == 0)
            cells.append(_placed(panel, i, k, (len(shown), len(variables)), ncols))
    return cells if legend else [replace(cell, panel=replace(cell.panel, key_name=None)) for cell in cells]


def balanced(n: int, most: int) -> int:
    """Columns for ``n`` panels: at most ``most``, with rows as full as each other."""
    return ceil(n / ceil(n / most))


def titled(cells: Sequence[Cell], title: str | Sequence[str] | None) -> list[Cell]:
    """Give the panels the titles that the user wants; then the keys say what the colours are."""
    if title is None or (isinstance(title, str) and len(cells) > 1):
        return list(cells)
    titles = [title] if isinstance(title, str) else list(title)
    if len(titles) != len(cells):
        raise OptionError("title", found=f"{len(titles)} titles", expected=f"{len(cells)}", fix="Pass one a panel.")
    return [_retitled(cell, text) for cell, text in zip(cells, titles, strict=True)]


def _placed(panel: Panel, section: int, variable: int, shape: tuple[int, int], ncols: int) -> Cell:
    sections, variables = shape
    name, library_id = "" if panel.paint is None else panel.paint.name, panel.view.library_id
    if sections == 1:
        columns = balanced(variables, ncols)
        return Cell(variable // columns, variable % columns, replace(panel, title=name, key_name=""))
    if variables == 1:  # the key stands at the right end of the first row
        columns = balanced(sections, ncols)
        key_name = name if section == columns - 1 else None
        return Cell(section // columns, section % columns, replace(panel, title=library_id, key_name=key_name))
    first = section == 0
    panel = replace(panel, title=name if first else "", key_name="" if first else None)
    return Cell(section, variable, replace(panel, row_label=library_id if variable == 0 else ""))


def _retitled(cell: Cell, title: str) -> Cell:
    panel = cell.panel
    names = panel.key_name is not None and panel.paint is not None
    key_name = panel.paint.name if names and panel.paint is not None else panel.key_name
    return replace(cell, panel=replace(panel, title=title, key_name=key_name))
