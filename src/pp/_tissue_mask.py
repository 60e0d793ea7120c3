"""Where the tissue is, and how much of each tile is tissue."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._errors import OptionError
from .._keys import Keys, LibraryKeys
from .._record import AnnDatas, Targets, has, require, write
from .._sections import check_places, library, sections
from .._types import check_types
from .._warn import warn
from ..io import open_image
from ..io._grid import tissue_share
from ..io._tissue import MASK_PX, section_tissue

_Found = tuple[NDArray[np.float32], dict[str, Any], dict[str, str]]


def tissue_mask(
    adata: AnnDatas,
    *,
    tiles_key: str = Keys.TILES,
    max_size: int = MASK_PX,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.TISSUE_FRACTION,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Find the tissue on the linked image, and how much of each spot's tile it fills.

    Tissue is what is coloured: Otsu's threshold on the colourfulness of a small picture of the whole slide, within
    bounds, so that a picture full of tissue is all tissue and one of glass is none. Painted black background and
    green, blue and black pen are not tissue; red pen can't be told from blood.

    Parameters
    ----------
    adata
        A section with tiles and an image, or a list of them.
    tiles_key
        Slot with the boxes.
    max_size
        Pixels along the longer side of the picture in which tissue is looked for.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Column of ``obs`` to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obs["tissue_fraction"]`` (n,) float32: the share of a tile's area that is tissue, what
    lies outside the image being none; NaN for a spot without a tile. Writes the mask to
    ``uns["spatial"][library_id]["images"]["tissue_mask"]`` (rows, columns, 3), 255 on tissue and 0 elsewhere, with its
    scale factor ``tissue_tissue_mask_scalef``: squidpy draws it with ``img_res_key="tissue_mask"``, scanpy with
    ``img_key="tissue_mask"``.

    Raises
    ------
    MissingError
        No tiles: run :func:`tile`.
    ImageError
        No image, or not a bright-field one; or most spots lie outside it.

    Warns
    -----
    UserWarning
        No tissue was found on an image; all its shares are 0.

    References
    ----------
    Otsu 1979, IEEE Trans. Syst. Man Cybern., doi:10.1109/TSMC.1979.4310076.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.tile(adata)
    >>> hs.pp.tissue_mask(adata)
    >>> float(adata.obs["tissue_fraction"].mean()) > 0.9
    True
    """
    check_types(tissue_mask, locals())
    check("max_size", max_size, is_count(max_size, 16), "a whole number of pixels, 16 or more")
    targets = Targets(adata, copy=copy)
    found = [_found(one, _boxes(one, tiles_key), library_key, max_size) for one in targets]
    params = {"tiles_key": tiles_key, "max_size": max_size, "library_key": library_key}
    inputs = [Keys.TILES.renamed(tiles_key), Keys.LIBRARIES]
    for one, (share, libraries, hashes) in zip(targets, found, strict=True):
        outputs = {Keys.TISSUE_FRACTION.renamed(key_added): share, Keys.LIBRARIES: libraries}
        write(one, outputs, by="pp.tissue_mask", params=params, inputs=inputs, hashes=hashes)
    return targets.result()


def _boxes(adata: AnnData, tiles_key: str) -> NDArray[np.float64]:
    boxes = np.asarray(require(adata, Keys.TILES.renamed(tiles_key)), dtype=np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        fix = "Run hs.pp.tile(adata)."
        raise OptionError(f"obsm[{str(tiles_key)!r}]", found=f"shape {boxes.shape}", expected="boxes (n, 4)", fix=fix)
    return boxes


def _found(adata: AnnData, boxes: NDArray[np.float64], library_key: str, max_size: int) -> _Found:
    """Share of each tile, uns["spatial"] with the masks in it, and the hash of each image."""
    share = np.full(len(boxes), np.nan, dtype=np.float32)
    libraries, hashes = dict(require(adata, Keys.LIBRARIES)), {}
    if has(adata, Keys.SPATIAL):
        check_places(adata, library_key)
    for name, rows in sections(adata, library_key).items():
        with open_image(adata, library_id=name) as image:
            mask, scale = section_tissue(image, max_size)
            hashes[f"image.{name}"] = image.sha256
        if not mask.any():
            msg = f"image of section {name!r}: no tissue was found; look at hs.pl.spatial(adata)"
            warn(msg)
        rows = rows[np.isfinite(boxes[rows]).all(axis=1)]
        share[rows] = np.clip(tissue_share(mask, boxes[rows] * scale), 0, 1)  # sums round
        libraries[name] = _with_mask(library(adata, name), mask, scale)
    return share, libraries, hashes


def _with_mask(entry: Mapping[str, Any], mask: NDArray[np.bool_], scale: float) -> dict[str, Any]:
    # Three equal channels: squidpy draws no other number of them in every case.
    picture = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)
    images = {**entry.get(LibraryKeys.IMAGES, {}), LibraryKeys.TISSUE_MASK: picture}
    factors = {**entry.get(LibraryKeys.SCALEFACTORS, {}), LibraryKeys.TISSUE_MASK_SCALE: float(scale)}
    return {**entry, LibraryKeys.IMAGES: images, LibraryKeys.SCALEFACTORS: factors}
