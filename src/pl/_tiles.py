"""Example tiles: what the tissue of each group looks like."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from matplotlib.figure import Figure

from .._errors import MissingError, OptionError
from .._keys import Keys
from .._record import AnnDatas, each
from .._types import check_types
from ._colors import category_colors, keep_colors, names_of
from ._lookup import Variable, lookup
from ._strips import Strip, Tile, draw_strips
from ._tile_pixels import tile_pixels, tile_size, usable_tiles

_PLAIN = "#888888"  # frame that means nothing
_A_ROW = 6


def tiles(
    adata: AnnDatas,
    *,
    groupby: str | None = None,
    n: int = 6,
    tiles_key: str = Keys.TILES,
    library_key: str = Keys.LIBRARY_ID,
    random_state: int = 0,
) -> Figure:
    """Show random tiles, a row for each category of ``groupby``, framed in the colour that it has in all figures.

    Tiles are read from the linked image. Colours are kept in ``uns["<groupby>_colors"]``; nothing else is written.

    Parameters
    ----------
    adata
        A section, several under ``library_key``, or a list of AnnData.
    groupby
        Column of obs with categories, such as ``"domain"``.
    n
        Tiles of each category, or in all.
    tiles_key
        Slot of the boxes.
    library_key
        Column of obs that names the section of each spot.
    random_state
        Seed of the choice.

    Raises
    ------
    MissingError
        There are no tiles, or no such column.
    OptionError
        The column holds no categories, or no tile can be read.
    ImageError
        A section has no image.

    Examples
    --------
    >>> hs.pp.tile(adata)
    >>> hs.pl.tiles(adata, groupby="domain")
    """
    check_types(tiles, locals())
    if n < 1:
        raise OptionError("n", found=repr(n), expected="1 or more", fix="Leave it out.")
    adatas = each(adata)
    usable = [tile for i, one in enumerate(adatas) for tile in usable_tiles(one, i, tiles_key, library_key)]
    if not usable:
        fix = "Run hs.pp.tile(adata) again and look at its log."
        raise OptionError(f"obsm[{str(tiles_key)!r}]", found="no tile that can be read", expected="some", fix=fix)
    rng = np.random.default_rng(random_state)
    if groupby is None:
        some = _choice(usable, n, rng)
        groups = [Strip("", _PLAIN, 0, some[i : i + _A_ROW]) for i in range(0, len(some), _A_ROW)]
    else:
        variable = _column(adatas, groupby)
        colors = category_colors(adatas, variable, None)
        groups = _groups(usable, variable, colors, n, rng)
    chosen = [tile for group in groups for tile in group.tiles]
    pixels = tile_pixels(adatas, chosen)
    if groupby is not None:
        keep_colors(adatas, variable, colors, replace=False)
    return draw_strips(groups, pixels, tile_size(adatas, chosen))


def _column(adatas: Sequence[AnnData], groupby: str) -> Variable:
    lacking = [i for i, adata in enumerate(adatas) if groupby not in adata.obs]
    if lacking:
        found, fix = f"only {list(adatas[lacking[0]].obs)}", "Name one of these."
        raise MissingError(f"obs[{groupby!r}]", found=found, expected="a column with categories", fix=fix)
    variable = lookup(adatas, f"obs:{groupby}")
    if not variable.is_categorical:
        fix = "Convert it: adata.obs[...].astype('category')."
        raise OptionError(f"obs[{groupby!r}]", found="numbers", expected="categories", fix=fix)
    return variable


def _groups(
    usable: Sequence[Tile], variable: Variable, colors: dict[str, str], n: int, rng: np.random.Generator
) -> list[Strip]:
    members: dict[str, list[Tile]] = {name: [] for name in colors}
    named = [np.array([*names_of(value), ""], dtype=object)[value.codes] for value in variable.per_adata]  # type: ignore[union-attr]
    for tile in usable:
        name = named[tile.index][tile.row]
        if name in members:
            members[name].append(tile)
    return [Strip(name, colors[name], len(own), _choice(own, n, rng)) for name, own in members.items() if own]


def _choice(tiles: Sequence[Tile], n: int, rng: np.random.Generator) -> list[Tile]:
    return [tiles[i] for i in rng.permutation(len(tiles))[:n]]
