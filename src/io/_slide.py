"""A bare slide as an AnnData: tissue tiles without genes."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._errors import ImageError, OptionError, ScaleError
from .._keys import Keys, LibraryKeys, slug
from .._record import write
from .._types import check_types
from .._units import to_px
from ._grid import grid, tissue_share
from ._link import entry, given_mpp
from ._paths import existing
from ._tissue import section_tissue
from .image import SlideImage, open_image

log = logging.getLogger("histoscribe")


def tile_slide(
    path: str | Path,
    *,
    size_um: float = 112,
    mpp: float | None = None,
    min_tissue: float = 0.25,
    library_id: str | None = None,
) -> AnnData:
    """Cut a slide without genes into a grid of tissue tiles, under the same contract as a section with genes.

    Writes ``obsm["tiles"]``, ``obsm["spatial"]`` (their centres), ``uns["spatial"]`` and ``tissue_fraction``,
    ``array_row``, ``array_col``, ``library_id`` in ``obs``. There are no genes: ``n_vars`` is 0.

    Parameters
    ----------
    path
        Image of the slide.
    size_um
        Side of a tile, um.
    mpp
        Micrometres per pixel; the file's own by default.
    min_tissue
        Least share of a tile that must be tissue.
    library_id
        Name of the section; the file name by default.

    Raises
    ------
    ScaleError
        Neither the file nor ``mpp`` says how large a pixel is.
    ImageError
        No tissue was found.

    Examples
    --------
    >>> adata = hs.io.tile_slide("CMU-1-Small-Region.svs")
    >>> hs.tl.encode_image(adata, "stain_stats")
    """
    check_types(tile_slide, locals())
    if not size_um > 0:
        raise OptionError("size_um", found=repr(size_um), expected="micrometres above 0", fix="Pass 112, for instance.")
    if not 0 <= min_tissue <= 1:
        raise OptionError("min_tissue", found=repr(min_tissue), expected="0 to 1", fix="Pass 0.25, for instance.")
    path = existing(path, argument="path").resolve()
    name = slug(library_id or path.stem)
    with open_image(path, mpp=given_mpp(mpp)) as image:
        scale = _scale(image)
        side = float(to_px(size_um, scale))
        mask, per_pixel = section_tissue(image)
        boxes, columns = grid(image.width, image.height, side)
    share = tissue_share(mask, boxes * per_pixel)
    kept = np.flatnonzero((share >= min_tissue) & (share > 0))
    if kept.size == 0:
        fix = "Look at the slide; a lower min_tissue= keeps more."
        found = f"none of {len(boxes)} tiles with {min_tissue:.0%} tissue"
        raise ImageError(str(path), found=found, expected="stained tissue", fix=fix)
    log.info("%s: %d of %d tiles hold tissue", name, len(kept), len(boxes))
    boxes, share = boxes[kept], share[kept]
    adata = AnnData(sp.csr_matrix((len(kept), 0), dtype=np.float32), obs=pd.DataFrame(index=kept.astype(str)))
    row, column = np.divmod(kept, columns)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    described = entry(path, centres, mpp=scale, spot_diameter=side, believed="mpp=")
    outputs = {
        Keys.TILES: boxes,
        Keys.SPATIAL: centres,
        Keys.LIBRARIES: {name: described},
        Keys.LIBRARY_ID: pd.Categorical([name] * len(kept)),
        Keys.TISSUE_FRACTION: share,
        Keys.ARRAY_ROW: row,
        Keys.ARRAY_COL: column,
    }
    params = {"path": path, "size_um": size_um, "mpp": scale, "min_tissue": min_tissue, "library_id": name}
    hashes = {"image": described[LibraryKeys.METADATA][LibraryKeys.SHA256]}
    write(adata, outputs, by="io.tile_slide", params=params, hashes=hashes)
    return adata


def _scale(image: SlideImage) -> float:
    try:
        return image.mpp
    except ScaleError as error:
        fix = "Pass mpp= to tile_slide, micrometres per pixel."
        raise ScaleError(error.field, found=error.found, expected=error.expected, fix=fix) from error
