"""A composed figure: the tissue, and what was found in it."""

from collections.abc import Sequence
from dataclasses import replace
from string import ascii_lowercase

from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from .._errors import OptionError
from .._keys import Keys
from .._record import AnnDatas, each
from .._types import check_types
from ._arrange import arrange, titled
from ._backdrop import has_image
from ._colors import Palette
from ._grid import Cell, draw, panel_size, with_backdrops
from ._limits import Numeric
from ._paints import color_names, keep, paints
from ._panel import Paint
from ._spots import Spots
from ._views import views, warn_of_places

_TISSUE = "H&E"


def panels(
    adata: AnnDatas,
    color: str | Sequence[str],
    *,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    library_id: str | None = None,
    crop: Sequence[float] | None = None,
    size: float = 1.0,
    alpha: float | None = None,
    cmap: str | Colormap | None = None,
    palette: Palette | None = None,
    vmin: float | str | None = None,
    vmax: float | str | None = None,
    vcenter: float | str | None = None,
    title: Sequence[str] | None = None,
    ncols: int = 3,
) -> Figure:
    """Compose a figure of one section: the bare tissue with its scale bar, then a lettered panel for each name.

    Colours of the categories of an obs column are kept in ``uns["<name>_colors"]``; nothing else is written.

    Parameters
    ----------
    adata
        The section, or several of which ``library_id`` names one.
    color
        Names as in :func:`spatial`.
    layer, library_key, crop, size, alpha, cmap, palette, vmin, vmax, vcenter
        As in :func:`spatial`.
    library_id
        Section to draw; needed where there are several.
    title
        Title of each panel, the tissue's first.
    ncols
        Panels in a row, at most.

    Returns
    -------
    The figure. Without an image it has no panel of the bare tissue.

    Raises
    ------
    MissingError, OptionError, ScaleError
        As :func:`spatial`; OptionError also where there are several sections.

    Examples
    --------
    >>> figure = hs.pl.panels(adata, ["EPCAM", "HYPOXIA", "domain"])
    >>> figure.savefig("figure_1.pdf")
    """
    check_types(panels, locals())
    adatas, names = each(adata), color_names(color)
    shown = views(adatas, library_key=library_key, library_id=library_id, crop=crop)
    if len(shown) != 1:
        found = f"{len(shown)} sections: {[view.library_id for view in shown]}"
        raise OptionError("adata", found=found, expected="one", fix="Pass library_id=, one of these.")
    how = Numeric(cmap=cmap, vmin=vmin, vmax=vmax, vcenter=vcenter)
    made = paints(adatas, shown, names, layer=layer, palette=palette, how=how)
    variables: list[Paint | None] = [None, *made] if has_image(shown[0]) else [*made]
    cells = arrange(shown, variables, ncols=ncols, spots=Spots(size=size, alpha=alpha), scale_bar=True, legend=True)
    cells = titled([_lettered(cell, i) for i, cell in enumerate(cells)], title)
    warn_of_places(adatas, library_key)
    cells = with_backdrops(cells, panel_size(cells))
    keep(adatas, made, replace=palette is not None)
    return draw(cells)


def _lettered(cell: Cell, number: int) -> Cell:
    letter = ascii_lowercase[number % 26] * (1 + number // 26)
    panel = replace(cell.panel, letter=letter, title=cell.panel.title or _TISSUE)
    return replace(cell, panel=panel)
