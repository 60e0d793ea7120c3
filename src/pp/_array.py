"""The spot array that a section was measured on: which one it is, how positions fit it, and its places without a spot."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from .._errors import ScaleError
from .._units import pitch, spacing, to_um
from ..io._lattice import VISIUM_STEP_UM, fit_lattice, is_hexagonal, is_staggered
from ._placements import Floats, moved

VISIUM, ST, ST_2K = "Visium", "Spatial Transcriptomics", "Spatial Transcriptomics 2K"
PITCH_UM = {VISIUM: 100.0, ST: 200.0, ST_2K: 141.4}

_VISIUM_SIZE = (128, 78)  # columns and rows
_ALIKE = 1.4  # cells may lie in rough hexagons; off by a larger factor, only a printed lattice is an array
_PRINTED = 0.05  # spread of the distances to the nearest spot in a printed lattice
_BINS_UM = 40.0  # grids finer than this are bins or cells, not printed spots
_RING = 1.3  # pitches within which six neighbours make a grid hexagonal


@dataclass(frozen=True)
class Array:
    """How positions lie on a known array.

    Attributes
    ----------
    name
        Of the platform.
    pitch
        Between neighbouring spots, in pixels.
    mpp
        Micrometres per pixel that its known pitch implies.
    residuals_um
        Distance of each spot from its place (n,); none without array indices.
    stretch
        Larger over smaller um per pixel of its two directions, less 1.
    is_mirrored
        Whether positions are a mirror image of the array.
    empty
        Positions of its places without a spot (m, 2).
    """

    name: str
    pitch: float
    mpp: float
    residuals_um: Floats | None = None
    stretch: float = 0.0
    is_mirrored: bool | None = None
    empty: Floats | None = None


def find_array(index: NDArray[np.float64] | None, xy: Floats, mpp: float | None) -> Array | None:
    """Array that spots lie on, by their layout; None for bins and where that can't be told.

    Parameters
    ----------
    index
        Column and row of each spot (n, 2), where they are known.
    xy
        Positions in pixels (n, 2).
    mpp
        Micrometres per pixel, where known.
    """
    if index is None:
        apart = pitch(xy)
        return Array(VISIUM, apart, PITCH_UM[VISIUM] / apart) if _looks_hexagonal(xy, apart, mpp) else None
    name = VISIUM if is_hexagonal(index, xy) else ST_2K if is_staggered(index) else ST
    side = PITCH_UM[name] / (2**0.5 if name == ST_2K else 1)
    step = np.array(VISIUM_STEP_UM if name == VISIUM else (side, side))
    try:
        lattice = fit_lattice(index, xy, step)
    except ScaleError:
        return None
    if name == ST and mpp is not None and to_um(spacing(xy) or 0.0, mpp) < _BINS_UM:
        return None
    design = np.column_stack([index, np.ones(len(index))])
    solved, *_ = np.linalg.lstsq(design, xy, rcond=None)
    to_image = np.vstack([solved.T, (0, 0, 1)])
    residuals = to_um(np.hypot(*(moved(to_image, index) - xy).T), lattice.mpp)
    ratio = lattice.column_mpp / lattice.row_mpp
    empty = moved(to_image, _places_without_spot(index, whole=name == VISIUM))
    return Array(
        name, PITCH_UM[name] / lattice.mpp, lattice.mpp, residuals, max(ratio, 1 / ratio) - 1, lattice.mirrored, empty
    )


def _looks_hexagonal(xy: Floats, apart: float, mpp: float | None) -> bool:
    """Whether most spots have six neighbours at about one distance, and that may be Visium's or is all too regular."""
    if mpp is None or len(xy) < 7 or to_um(apart, mpp) < _BINS_UM:
        return False
    tree = cKDTree(xy)
    if not 1 / _ALIKE < apart * mpp / PITCH_UM[VISIUM] < _ALIKE:
        low, high = np.quantile(tree.query(xy, k=2)[0][:, 1], (0.05, 0.95))
        if high - low > _PRINTED * apart:
            return False
    near = tree.query_ball_point(xy, _RING * apart, return_length=True) - 1
    return bool(np.median(near) == 6 or (near == 6).mean() > 0.5)


def _places_without_spot(index: NDArray[np.float64], *, whole: bool) -> NDArray[np.float64]:
    """Columns and rows (m, 2) that no spot has, within the spots' own range or on a whole Visium array."""
    own = index.round().astype(np.int64)
    low, high = own.min(axis=0), own.max(axis=0)
    if whole and (low >= 0).all() and (high < _VISIUM_SIZE).all():
        low, high = np.zeros(2, dtype=np.int64), np.array(_VISIUM_SIZE) - 1
    axes = [np.arange(a, b + 1) for a, b in zip(low, high, strict=True)]
    places = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2)
    if is_staggered(own):
        places = places[places.sum(axis=1) % 2 == own[0].sum() % 2]
    width = high[0] + 1
    taken = np.isin(places[:, 1] * width + places[:, 0], own[:, 1] * width + own[:, 0])
    return places[~taken].astype(np.float64)
