"""The box of the image that belongs to each spot."""

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check
from .._keys import Keys, valid
from .._record import AnnDatas, Targets, write
from .._sections import positions, section_mpp, sections
from .._units import to_px


def tile(
    adata: AnnDatas,
    *,
    size_um: float = 112.0,
    context: float = 1.0,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.TILES,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Give each spot a square tile of the image, centred on it.

    Boxes that reach over the border of the image are kept: what lies outside is read as background.

    Parameters
    ----------
    adata
        A section, or a list of them.
    size_um
        Side of a tile, um. 112 um are the 224 pixels at 0.5 um that most pathology encoders were trained on.
    context
        How many times wider and higher the box is than ``size_um``: 3 gives a tile with its eight neighbours.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["tiles"]`` (n, 4), x, y, width and height in full-resolution pixels, and
    ``obs["tiles_valid"]``, False for a spot without a position (its box is NaN).

    Raises
    ------
    ScaleError
        The section's um per pixel are not known.
    OptionError
        A size that is not positive.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.tile(adata)
    >>> adata.obsm["tiles"].shape
    (400, 4)
    """
    for name, value, least, expected in (
        ("size_um", size_um, 0.0, "a positive length in um"),
        ("context", context, 1.0, "1 or more"),
    ):
        real = isinstance(value, (int, float, np.number)) and bool(np.isfinite(value))
        check(name, value, real and value > 0 and value >= least, expected)
    targets = Targets(adata, copy=copy)
    boxes = [_section_boxes(one, size_um * context, library_key) for one in targets]
    params = {"size_um": size_um, "context": context, "library_key": library_key}
    for one, box in zip(targets, boxes, strict=True):
        outputs = {Keys.TILES.renamed(key_added): box, valid(key_added): np.isfinite(box).all(axis=1)}
        write(one, outputs, by="pp.tile", params=params, inputs=[Keys.SPATIAL])
    return targets.result()


def _section_boxes(adata: AnnData, side_um: float, library_key: str) -> NDArray[np.float64]:
    xy = positions(adata)
    boxes = np.empty((adata.n_obs, 4))
    for name, rows in sections(adata, library_key).items():
        boxes[rows] = centred_boxes(xy[rows], float(to_px(side_um, section_mpp(adata, name))))
    return boxes


def centred_boxes(xy: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Squares (n, 4) as x, y, width, height around centres (n, 2)."""
    boxes = np.concatenate([xy - side / 2, np.full_like(xy, side)], axis=1)
    boxes[~np.isfinite(xy).all(axis=1)] = np.nan
    return boxes
