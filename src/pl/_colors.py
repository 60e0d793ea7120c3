"""Colours of categories, kept in ``uns["<key>_colors"]`` as scanpy does, and colour maps of numbers."""

import logging
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import matplotlib as mpl
import numpy as np
import pandas as pd
from anndata import AnnData
from matplotlib.colors import Colormap, is_color_like, to_hex, to_rgb

from .._errors import OptionError
from .._keys import colors as colors_of
from ._lookup import Values, Variable

Palette: TypeAlias = str | Sequence[str] | Mapping[str, str]

NO_VALUE = "#D3D3D3"
SEQUENTIAL, DIVERGING = "viridis", "RdBu_r"

# Okabe and Ito's seven, then seventeen more, each the farthest (CIEDE2000) from all before it, from white, black and
# NO_VALUE, for normal and for simulated protan and deutan vision (Machado et al. 2009).
# fmt: off
PALETTE = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#F0E442", "#CC79A7",
    "#703D52", "#5C3300", "#0000A3", "#A3D699", "#666647", "#3D7A7A", "#7A7AFF", "#332952", "#47EBFF", "#E00A52",
    "#CC9999", "#003D29", "#3D527A", "#5200FF", "#99470A", "#A3AD66", "#D6ADCC",
)
# fmt: on

log = logging.getLogger("histoscribe")


def colormap(name: str | Colormap) -> Colormap:
    """Return a matplotlib colour map that paints missing values light grey."""
    if isinstance(name, str) and name not in mpl.colormaps:
        fix = "See matplotlib.colormaps for the others."
        raise OptionError("cmap", found=repr(name), expected="a colour map such as 'viridis' or 'RdBu_r'", fix=fix)
    return (mpl.colormaps[name] if isinstance(name, str) else name).with_extremes(bad=NO_VALUE)


def category_colors(adatas: Sequence[AnnData], variable: Variable, palette: Palette | None) -> dict[str, str]:
    """Colour of each category of all sections: the kept ones first, then free ones of the palette."""
    names = list(dict.fromkeys(name for value in variable.per_adata for name in names_of(value)))
    kept: dict[str, str] = {}
    if palette is None:
        for adata, value in zip(adatas, variable.per_adata, strict=True):
            kept = {**_kept(adata, value, variable.obs_key), **kept}
    if isinstance(palette, Mapping):
        kept = {str(name): _color(color) for name, color in palette.items()}
    supply = _supply(palette, len(names))
    free = iter([color for color in supply if color not in kept.values()] + supply)
    colors = {name: kept[name] if name in kept else next(free) for name in names}
    if len(set(colors.values())) < len(names) or len(names) > len(PALETTE):
        log.warning("%d categories are more than colours can tell apart", len(names))
    return colors


def keep_colors(adatas: Sequence[AnnData], variable: Variable, colors: Mapping[str, str], *, replace: bool) -> None:
    """Remember the colours of an obs column, so that the next figure shows the same; of truth values scanpy keeps none."""
    key = variable.obs_key
    if key is None or any(pd.api.types.is_bool_dtype(adata.obs[key]) for adata in adatas):
        return
    for adata, value in zip(adatas, variable.per_adata, strict=True):
        # Writing to a view would turn it into a copy behind the user's back.
        if not adata.is_view and (replace or not _kept(adata, value, key)):
            adata.uns[colors_of(key)] = [colors[name] for name in names_of(value)]


def names_of(value: Values) -> list[str]:
    """Categories as figures write them, in their order."""
    return [str(name) for name in pd.Categorical(value).categories]


def _kept(adata: AnnData, value: Values, obs_key: str | None) -> dict[str, str]:
    held = None if obs_key is None else adata.uns.get(colors_of(obs_key))
    stored = [str(color) for color in np.atleast_1d(held)] if held is not None else []
    names = names_of(value)
    if len(stored) < len(names) or not all(is_color_like(color) for color in stored):
        return {}  # of another set of categories
    return dict(zip(names, map(to_hex_upper, stored), strict=False))


def _supply(palette: Palette | None, n: int) -> list[str]:
    if isinstance(palette, str):
        return [to_hex_upper(color) for color in colormap(palette)(np.linspace(0, 1, max(n, 2)))]
    if palette is not None and not isinstance(palette, Mapping):
        chosen = [_color(color) for color in palette]
        if not chosen:
            raise OptionError("palette", found="no colours", expected="at least one", fix="Leave palette= out.")
        return chosen * -(-n // len(chosen))
    paler = [_mixed(color, "white") for color in PALETTE]
    darker = [_mixed(color, "black") for color in PALETTE]
    supply = [*PALETTE, *paler, *darker]
    return supply * max(1, -(-n // len(supply)))


def to_hex_upper(color: object) -> str:
    """Colour as ``#RRGGBB``."""
    return to_hex(color).upper()  # type: ignore[arg-type]


def _mixed(color: str, other: str) -> str:
    return to_hex_upper(0.55 * np.array(to_rgb(color)) + 0.45 * np.array(to_rgb(other)))


def _color(color: str) -> str:
    if not is_color_like(color):
        fix = "Use names or hex codes such as '#0072B2'."
        raise OptionError("palette", found=repr(color), expected="colours that matplotlib knows", fix=fix)
    return to_hex_upper(color)
