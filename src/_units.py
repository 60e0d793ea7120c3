"""Pixels and micrometres: the only place where one becomes the other."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ._errors import ScaleError

# Scanners give 0.1 to 4 um per pixel. Resolution tags written by photo software give 352.8 (72 dpi) or 10,000.
_PLAUSIBLE_UM = (0.05, 20.0)


def check_mpp(mpp: Any, *, source: str, fix: str = "Pass mpp=, in micrometres per pixel.") -> float:
    """Micrometres per pixel as a float, or an error that names where the value came from."""
    low, high = _PLAUSIBLE_UM
    try:
        value = float("nan") if isinstance(mpp, bool) else float(mpp)
    except (TypeError, ValueError):
        value = float("nan")
    if not low <= value <= high:
        raise ScaleError(f"mpp from {source}", found=repr(mpp), expected=f"{low} to {high} um per pixel", fix=fix)
    return value


def is_plausible_mpp(mpp: float) -> bool:
    """Whether a value read from a file's tags can be micrometres per pixel of a tissue image."""
    return _PLAUSIBLE_UM[0] <= mpp <= _PLAUSIBLE_UM[1]


def to_um(pixels: Any, mpp: float) -> Any:
    """Micrometres of a length or position in full-resolution pixels."""
    return np.asarray(pixels, dtype=np.float64) * mpp


def to_px(um: Any, mpp: float) -> Any:
    """Full-resolution pixels of a length or position in micrometres."""
    return np.asarray(um, dtype=np.float64) / mpp


def pitch(xy: NDArray[np.floating]) -> float:
    """Distance between neighbouring spots: the median distance to the nearest other position, in the unit of ``xy``."""
    xy = np.unique(np.asarray(xy, dtype=np.float64), axis=0)
    xy = xy[np.isfinite(xy).all(axis=1)]
    if len(xy) < 2:
        raise ScaleError(
            "spot positions", found=f"{len(xy)} distinct", expected="2 or more", fix="The pitch needs two spots."
        )
    distance, _ = cKDTree(xy).query(xy, k=2)
    return float(np.median(distance[:, 1]))


def n_doubled(xy: NDArray[np.floating]) -> int:
    """Count the positions that another one before them has already."""
    return len(xy) - len(np.unique(xy, axis=0))


def spacing(xy: NDArray[np.floating]) -> float | None:
    """Pitch of positions, None where fewer than two of them differ."""
    placed = xy[np.isfinite(xy).all(axis=1)]
    return pitch(placed) if len(np.unique(placed, axis=0)) > 1 else None
