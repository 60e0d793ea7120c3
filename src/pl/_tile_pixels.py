"""Tiles of sections: which can be read, their pixels and their size."""

from collections.abc import Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import OptionError
from .._keys import Keys, valid
from .._record import has, require
from .._sections import sections
from ..io import open_image
from ._backdrop import displayable
from ._strips import Tile
from ._views import mpp_of

_PIXELS = 300  # along a side


def usable_tiles(adata: AnnData, index: int, tiles_key: str, library_key: str) -> list[Tile]:
    """List the tiles of an AnnData that can be read; ``index`` is its place among those passed."""
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


def tile_pixels(adatas: Sequence[AnnData], chosen: Sequence[Tile]) -> dict[Tile, NDArray]:
    """Pixels of each tile, by its place; each section's image is opened once."""
    pixels: dict[Tile, NDArray] = {}
    for index, library_id in dict.fromkeys((tile.index, tile.library_id) for tile in chosen):
        own = [tile for tile in chosen if (tile.index, tile.library_id) == (index, library_id)]
        with open_image(adatas[index], library_id=library_id) as image:
            for rows, batch in image.read_tiles(np.array([tile.box for tile in own]), _PIXELS):
                pixels.update({own[row]: displayable(one) for row, one in zip(rows, batch, strict=True)})
    return pixels


def tile_size(adatas: Sequence[AnnData], chosen: Sequence[Tile]) -> str:
    """Say how large tiles are: in um, or in pixels where a scale is unknown."""
    scales = [mpp_of(adatas[tile.index], tile.library_id) for tile in chosen]
    unit = "px" if None in scales else "µm"
    sides = np.array(
        [tile.box[2:] * (scale if unit == "µm" else 1) for tile, scale in zip(chosen, scales, strict=True)]
    )
    return f"Each tile: {_range(sides[:, 0])} × {_range(sides[:, 1])} {unit}"


def _range(lengths: NDArray[np.float64]) -> str:
    low, high = f"{lengths.min():.0f}", f"{lengths.max():.0f}"
    return low if low == high else f"{low}–{high}"
