"""Example tiles: what the tissue of each group looks like."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from matplotlib.figure import Figure
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from .._keys import Keys, valid
from .._record import AnnDatas, each, has, require
from .._sections import sections
from .._types import check_types
from ..io import open_image
from ._backdrop import displayable
from ._colors import category_colors, keep_colors, names_of
from ._lookup import Variable, lookup
from ._strips import Strip, Tile, draw_strips
from ._views import mpp_of

_PIXELS = 300  # along a side
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
    usable = [tile for i, one in enumerate(adatas) for tile in _usable(one, i, tiles_key, library_key)]
    if not usable:
        fix = "Run hs.pp.tile(adata) again and look at its log."
        raise OptionError(f"obsm[{str(tiles_key)!r}]", found="no tile that can be read", expected="some", fix=fix)
    rng = np.random.default_rng(random_state)
    if groupby is None:
        chosen = _choice(usable, n, rng)
        groups = [Strip("", _PLAIN, 0, chosen[i : i + _A_ROW]) for i in range(0, len(chosen), _A_ROW)]
    else:
        variable = _column(adatas, groupby)
        colors = category_colors(adatas, variable, None)
        groups = _groups(usable, variable, colors, n, rng)
    pixels = _read(adatas, [tile for group in groups for tile in group.tiles])
    if groupby is not None:
        keep_colors(adatas, variable, colors, replace=False)
    return draw_strips(groups, pixels, _caption(adatas, groups))


def _usable(adata: AnnData, index: int, tiles_key: str, library_key: str) -> list[Tile]:
    slot = Keys.TILES.renamed(tiles_key)
    boxes = np.asarray(require(adata, slot), dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        fix = "Run hs.pp.tile(adata)."
        raise OptionError(f"obsm[{str(slot)!r}]", found=f"shape {boxes.shape}", expected="(n, 4)", fix=fix)
    good: NDArray[np.bool_] = np.all(np.isfinite(boxes), axis=1) & np.all(boxes[:, 2:] > 0, axis=1)
    if has(adata, valid(slot)):
        good &= require(adata, valid(slot)).to_numpy(dtype=bool)
    by_section = sections(adata, library_key).items()
    return [Tile(index, name, int(row), boxes[row]) for name, rows in by_section for row in rows if good[row]]


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


def _read(adatas: Sequence[AnnData], chosen: Sequence[Tile]) -> dict[Tile, NDArray]:
    """Pixels of each tile, by its place; each section's image is opened once."""
    pixels: dict[Tile, NDArray] = {}
    for index, library_id in dict.fromkeys((tile.index, tile.library_id) for tile in chosen):
        own = [tile for tile in chosen if (tile.index, tile.library_id) == (index, library_id)]
        with open_image(adatas[index], library_id=library_id) as image:
            for rows, batch in image.read_tiles(np.array([tile.box for tile in own]), _PIXELS):
                pixels.update({own[row]: displayable(one) for row, one in zip(rows, batch, strict=True)})
    return pixels


def _caption(adatas: Sequence[AnnData], groups: Sequence[Strip]) -> str:
    chosen = [tile for group in groups for tile in group.tiles]
    scales = [mpp_of(adatas[tile.index], tile.library_id) for tile in chosen]
    unit = "px" if None in scales else "µm"
    sides = np.array(
        [tile.box[2:] * (scale if unit == "µm" else 1) for tile, scale in zip(chosen, scales, strict=True)]
    )
    return f"Each tile: {_range(sides[:, 0])} × {_range(sides[:, 1])} {unit}"


def _range(lengths: NDArray[np.float64]) -> str:
    low, high = f"{lengths.min():.0f}", f"{lengths.max():.0f}"
    return low if low == high else f"{low}–{high}"
