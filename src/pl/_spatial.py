"""Spatial maps: what was measured or inferred, over the tissue."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from .._errors import OptionError
from .._keys import Keys
from .._record import AnnDatas, each
from .._types import check_types
from ._arrange import arrange, titled
from ._colors import Palette
from ._grid import draw, inches_of, panel_size, with_backdrops
from ._limits import Numeric
from ._paints import color_names, keep, paints
from ._spots import Spots
from ._views import same_scale, views, warn_of_places


def spatial(
    adata: AnnDatas,
    color: str | Sequence[str] | None = None,
    *,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    library_id: str | Sequence[str] | None = None,
    image: bool = True,
    crop: Sequence[float] | None = None,
    size: float = 1.0,
    alpha: float | None = None,
    cmap: str | Colormap | None = None,
    palette: Palette | None = None,
    vmin: float | str | None = None,
    vmax: float | str | None = None,
    vcenter: float | str | None = None,
    scale_bar: bool = True,
    legend: bool = True,
    title: str | Sequence[str] | None = None,
    ncols: int = 4,
    ax: Axes | None = None,
) -> Axes | Figure:
    """Draw spots over the tissue, coloured by genes, scores, domains or anything else that a spot has.

    Several names make several panels. Several sections are drawn to the same scale, with one colour scale and one
    key a variable: a row for each section, or a grid of sections where there is one variable. Axes are in
    full-resolution pixels, y down. Colours of the categories of an obs column are kept in ``uns["<name>_colors"]``,
    as scanpy does, but not of True and False; nothing else is written.

    Tiles of a bare slide (:func:`histoscribe.io.tile_slide`) are drawn as the squares that they are.

    Parameters
    ----------
    adata
        A section, several under ``library_key``, or a list of AnnData.
    color
        Obs columns, genes, or columns of the tables in obsm, such as pathways. A name that means several things is
        written ``"obs:x"``, ``"gene:EPCAM"`` or ``"obsm:score_hallmark/HYPOXIA"``; ``"obsm:X_fused/0"`` is a column
        of an array. Without a name the tissue alone is drawn.
    layer
        Layer that genes are read from; ``X`` by default. The colour bar names it, or says ``counts`` where ``X`` holds
        whole numbers.
    library_key
        Column of obs that names the section of each spot.
    library_id
        Sections to draw, in this order; all by default.
    image
        Whether to draw the linked image under the spots.
    crop
        What to show: x0, y0, x1, y1 in micrometres from the upper left corner of the full-resolution image. The
        spots, and of the image a margin around them, by default; spots outside the image are left out, with a
        warning in the log. Colours stay those of the whole section.
    size
        Factor on the true diameter of the spots, or side of the tiles. Where nobody says the diameter, it is taken
        to be 0.6 of the distance between neighbours.
    alpha
        Opacity: 1 by default, but 0.6 for tiles over an image, since they cover the tissue.
    cmap
        Colour map of numbers: viridis by default, or a diverging one where values have both signs.
    palette
        Colours of categories: a list, a dictionary, or the name of a colour map. It replaces the colours kept.
    vmin, vmax
        Limits of the colours, as numbers or as percentiles such as ``"p99"``: the 1st and 99th percentile by default;
        the colour bar ends in a point where values lie beyond. A single value everywhere has the middle colour, and
        0 the lowest.
    vcenter
        Value, or percentile, at the middle of a diverging colour map: 0 by default where values have both signs.
    scale_bar
        Whether to draw a scale bar in the first panel of each section. It needs um per pixel and is left out, with a
        warning in the log, where nobody says it.
    legend
        Whether to draw colour bars and legends.
    title
        Title of each panel, or one for the figure.
    ncols
        Panels in a row, at most.
    ax
        Axes to draw a single panel into.

    Returns
    -------
    Axes of a single panel, the Figure of several.

    Raises
    ------
    MissingError
        There is nothing of this name, or no such section.
    OptionError
        A name is ambiguous, a limit can't be one, ``crop`` shows nothing, or ``ax`` is passed for several panels.
    ScaleError
        ``crop`` is given and nobody says the um per pixel.

    Warns
    -----
    UserWarning
        More than half of a section's spots lie outside its image, or x and y are swapped.

    Examples
    --------
    >>> hs.pl.spatial(adata, color=["EPCAM", "HYPOXIA", "domain"])
    >>> hs.pl.spatial(adata, "domain", crop=(2000, 2000, 4000, 4000))
    >>> hs.pl.spatial([first, second], "EPCAM", layer="counts")
    """
    check_types(spatial, locals())
    adatas, names = each(adata), color_names(color)
    shown = same_scale(views(adatas, library_key=library_key, library_id=library_id, crop=crop))
    how = Numeric(cmap=cmap, vmin=vmin, vmax=vmax, vcenter=vcenter)
    if ax is not None and len(shown) * max(len(names), 1) > 1:
        found = f"axes for {len(shown)} sections and {len(names)} names"
        raise OptionError("ax", found=found, expected="one panel", fix="Leave ax= out: a figure is made.")
    made = paints(adatas, shown, names, layer=layer, palette=palette, how=how)
    cells = arrange(shown, made, ncols=ncols, spots=Spots(size=size, alpha=alpha), scale_bar=scale_bar, legend=legend)
    cells = titled(cells, title)
    if image:
        warn_of_places(adatas, library_key)
        cells = with_backdrops(cells, inches_of(ax) if ax is not None else panel_size(cells))
    keep(adatas, made, replace=palette is not None)
    if ax is not None:
        cells[0].panel.draw(ax, inches_of(ax))
        return ax
    figure = draw(cells, heading=title if isinstance(title, str) and len(cells) > 1 else "")
    return figure.axes[0] if len(cells) == 1 else figure
