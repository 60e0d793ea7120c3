"""What is known of one section before its registration is checked: positions, scale, array, counts and picture."""

import warnings
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import raw_counts
from .._errors import CountsError, FileError, GenesError, ImageError, MissingError, ScaleError
from .._keys import Keys
from .._record import has
from .._sections import positions, section_mpp
from .._units import spacing, to_px, to_um
from ..io import open_image
from ..io._link import as_uint8_rgb
from ..io.image._kind import is_rgb, kind
from ._array import Array, find_array
from ._placements import Floats
from ._stain_maps import StainMaps, stain_maps

_PIXELS, _LEAST_PIXELS, _LONGEST = 40, 5, 3000  # of the picture: to a pitch, and along its longer side
_LEAST_SPOTS, _MOST_SPOTS = 40, 2500
_FINE_UM, _SQUARE_UM = 50.0, 100.0  # bins closer than the one are pooled in squares of the other


@dataclass(frozen=True)
class Spots:
    """Spots with counts, and places of the array without a spot; in full-resolution pixels."""

    xy: Floats
    counts: sp.csr_matrix
    empty: Floats
    pitch: float


@dataclass(frozen=True)
class Picture:
    """The linked image at low resolution: its features, its size in the frame, and its own um per pixel of the frame."""

    maps: StainMaps
    size: tuple[float, float]
    mpp: float | None


def placed_rows(adata: AnnData, rows: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows of a section that have a position: those of spots, and those said to lie off the tissue."""
    rows = rows[np.isfinite(positions(adata)[rows]).all(axis=1)]
    if not has(adata, Keys.IN_TISSUE):
        return rows, rows[:0]
    inside = pd.to_numeric(adata.obs[Keys.IN_TISSUE], errors="coerce").to_numpy(float)[rows] != 0
    return (rows[inside], rows[~inside]) if inside.any() else (rows, rows[:0])


def mpp_or_none(adata: AnnData, name: str) -> float | None:
    """Micrometres per pixel of a section, None where nobody says."""
    try:
        return section_mpp(adata, name)
    except (ScaleError, MissingError):
        return None


def is_indexed(adata: AnnData) -> bool:
    """Whether the rows and columns of an array are there."""
    return has(adata, Keys.ARRAY_COL) and has(adata, Keys.ARRAY_ROW)


def array_of(adata: AnnData, rows: NDArray[np.intp], mpp: float | None) -> Array | None:
    """Spot array of these rows, if it is a known one."""
    xy = positions(adata)[rows]
    if len(np.unique(xy, axis=0)) < 3:
        return None
    if not is_indexed(adata):
        return find_array(None, xy, mpp)
    index = adata.obs[[Keys.ARRAY_COL, Keys.ARRAY_ROW]].iloc[rows].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    known = np.isfinite(index).all(axis=1)
    return find_array(index[known], xy[known], mpp) if known.sum() > 2 else None


def counts_or_reason(adata: AnnData, layer: str | None) -> sp.csr_matrix | str:
    """Raw counts of an AnnData, or why there are none."""
    try:
        return raw_counts(adata, layer)
    except (CountsError, GenesError) as error:
        if layer is not None:
            raise
        return f"no counts ({error.field}: {error.found})"


def spots_or_reason(
    adata: AnnData,
    rows: tuple[NDArray[np.intp], NDArray[np.intp]],
    counts: sp.csr_matrix | str,
    *,
    array: Array | None,
    mpp: float | None,
    random_state: int,
) -> Spots | str:
    """Spots to predict, or why that can't be done."""
    if isinstance(counts, str):
        return counts
    if len(rows[0]) < _LEAST_SPOTS:
        return f"{len(rows[0])} spots are too few"
    xy = positions(adata)
    apart = array.pitch if array is not None else spacing(xy[rows[0]])
    if not apart:
        return "all spots lie in one place"
    empty = xy[rows[1]]
    if array is not None and array.empty is not None and not len(empty):
        empty = array.empty
    spots = Spots(xy[rows[0]], counts[rows[0]], empty, apart)
    if mpp is not None and to_um(apart, mpp) < _FINE_UM:
        spots = _pooled(spots, float(to_px(_SQUARE_UM, mpp)))
    return _fewer(spots, np.random.default_rng(random_state))


def _pooled(spots: Spots, side: float) -> Spots:
    """Bins too fine to hold enough counts, summed over squares."""
    _, member = np.unique(np.floor(spots.xy / side), axis=0, return_inverse=True)
    sums = sp.csr_matrix((np.ones(len(spots.xy)), (member.ravel(), np.arange(len(spots.xy)))))
    number = np.asarray(sums.sum(axis=1))
    return Spots(sums @ spots.xy / number, sp.csr_matrix(sums @ spots.counts), np.empty((0, 2)), side)


def _fewer(spots: Spots, rng: np.random.Generator) -> Spots:
    """Choose at random where there are more than it takes to tell."""
    kept, empty = (np.sort(rng.permutation(n)[:_MOST_SPOTS]) for n in (len(spots.xy), len(spots.empty)))
    return replace(spots, xy=spots.xy[kept], counts=spots.counts[kept], empty=spots.empty[empty])


def picture_or_reason(adata: AnnData, name: str, apart: float) -> Picture | str:
    """Features of the linked image, or why there are none."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r".*images\['hires'\] is used", category=UserWarning)
            image = open_image(adata, library_id=name)
        with image:
            if not (is_rgb(image) or (image.n_channels == 1 and image.dtype == np.uint8)):
                return f"the image has {kind(image)}, not 8-bit RGB"
            size = float(image.width), float(image.height)
            longest = min(_LONGEST, round(max(size) * _PIXELS / apart))
            pixels, scale = image.thumbnail(max(1, longest))
            own = _own_mpp(image.source, scale=image.mpp / image.native_mpp if image.has_mpp else 1.0)
    except (ImageError, FileError, MissingError, ScaleError) as error:
        return f"no image ({error.field}: {error.found})"
    if apart * scale < _LEAST_PIXELS:
        return f"the image is too coarse: spots are {apart * scale:.1f} of its pixels apart"
    return Picture(stain_maps(as_uint8_rgb(pixels), scale, apart), size, own)


def _own_mpp(source: str, *, scale: float) -> float | None:
    """Micrometres per pixel of the frame, by the file's own tags."""
    if source == "array":
        return None
    try:
        with open_image(source) as image:
            return image.mpp * scale if image.has_mpp else None
    except ScaleError:  # pixels that are not square, by tags that the section's own scale overrules
        return None
