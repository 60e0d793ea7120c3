"""From names to what colours spots: one paint a variable, shared by all sections."""

from collections.abc import Sequence

from anndata import AnnData

from .._errors import OptionError
from ._categories import Categories, categories
from ._colors import Palette, category_colors, keep_colors
from ._limits import Numeric
from ._lookup import lookup
from ._numbers import numbers
from ._panel import Paint
from ._views import View


def paints(
    adatas: Sequence[AnnData],
    shown: Sequence[View],
    names: Sequence[str],
    *,
    layer: str | None,
    palette: Palette | None,
    how: Numeric,
) -> list[Paint]:
    """Make the paint of each name."""
    how.check()
    made: list[Paint] = []
    for variable in [lookup(adatas, name, layer=layer) for name in names]:
        if variable.is_categorical:
            made.append(categories(variable, shown, category_colors(adatas, variable, palette)))
        else:
            made.append(numbers(variable, shown, how))
    return made


def keep(adatas: Sequence[AnnData], made: Sequence[Paint], *, replace: bool) -> None:
    """Keep the colours of obs columns, once nothing can go wrong any more."""
    for paint in made:
        if isinstance(paint, Categories):
            keep_colors(adatas, paint.variable, paint.colors, replace=replace)


def color_names(color: str | Sequence[str] | None) -> list[str]:
    """List the names that the user passed; none where only the tissue is asked for."""
    names = [] if color is None else [color] if isinstance(color, str) else list(color)
    if color is not None and not names:
        raise OptionError("color", found="an empty list", expected="names", fix="Leave color= out for the image alone.")
    return names
