"""Micrometres per pixel from the known geometry of a spot array."""

import logging
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from .._errors import ScaleError
from .._keys import Keys
from .._units import check_mpp
from .._warn import warn

log = logging.getLogger("histoscribe")

VISIUM_STEP_UM = (50.0, 50.0 * 3**0.5)  # a column and a row step: hexagonal, 100 um between neighbours
APART = 0.1  # two statements of one scale that differ by more are reported
_ANISOTROPIC = 0.03  # printed and scanned arrays stay below 1.5 %


@dataclass(frozen=True)
class Lattice:
    """How a spot array lies on its picture.

    Parameters
    ----------
    mpp
        Micrometres per pixel, the geometric mean over all directions.
    column_mpp, row_mpp
        The same along one row (from column to column) and along one column.
    mirrored
        Whether the positions are a mirror image of the array.
    """

    mpp: float
    column_mpp: float
    row_mpp: float
    mirrored: bool


def fit_lattice(index: ArrayLike, xy: ArrayLike, step_um: ArrayLike) -> Lattice:
    """Fit all spots at once by one affine map.

    Missing spots do not matter to it, and neither does the jitter of printed arrays, which makes the distance to the
    *nearest* spot up to 8 % shorter than the pitch.

    Parameters
    ----------
    index
        Array column and row of each spot (n, 2).
    xy
        Their positions in pixels (n, 2).
    step_um
        Length of one column step and of one row step (2,), um.

    Raises
    ------
    ScaleError
        The spots lie on one line, or the result is no plausible scale.
    """
    um = np.asarray(index, dtype=np.float64) * np.asarray(step_um, dtype=np.float64)
    design = np.column_stack([um, np.ones(len(um))])
    if np.linalg.matrix_rank(design) < 3:
        raise ScaleError(
            "spot positions", found="spots on one line", expected="rows and columns", fix="Pass mpp=, um per pixel."
        )
    affine, *_ = np.linalg.lstsq(design, np.asarray(xy, dtype=np.float64), rcond=None)
    area = float(np.linalg.det(affine[:2]))  # square pixels per square micrometre
    mpp = check_mpp(abs(area) ** -0.5 if area else np.inf, source="the pitch of the spot array")
    column, row = 1 / np.linalg.norm(affine[:2], axis=1)
    return Lattice(mpp, float(column), float(row), mirrored=area < 0)


def is_staggered(index: NDArray[np.integer | np.floating]) -> bool:
    """Whether every second place of the grid is empty by design, as on a chessboard (Visium, "2K" arrays)."""
    return len(index) > 1 and len(np.unique(index.sum(axis=1) % 2)) == 1


def is_hexagonal(index: NDArray[np.integer | np.floating], xy: NDArray[np.float64]) -> bool:
    """Whether spots lie as Visium's do, each with six neighbours at one distance."""
    if not is_staggered(index):
        return False
    try:
        lattice = fit_lattice(index, xy, VISIUM_STEP_UM)
    except ScaleError:
        return False
    return abs(lattice.column_mpp / lattice.row_mpp - 1) < APART


def on_visium(obs: pd.DataFrame, xy: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Array columns and rows (n, 2) and positions of the spots that have both; None where they are not Visium's."""
    if not {Keys.ARRAY_COL, Keys.ARRAY_ROW} <= set(obs):
        return None
    index = obs[[Keys.ARRAY_COL, Keys.ARRAY_ROW]].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    placed = np.isfinite(np.hstack([index, xy])).all(axis=1)
    return (index[placed], xy[placed]) if is_hexagonal(index[placed], xy[placed]) else None


def lattice_mpp(
    index: ArrayLike, xy: ArrayLike, step_um: ArrayLike, *, name: str, axes: str, given: float | None = None
) -> float:
    """Micrometres per pixel of a section: what the user gave, else by the array; what does not fit is reported.

    Parameters
    ----------
    index, xy, step_um
        As in :func:`fit_lattice`.
    name
        Of the section, for the messages.
    axes
        What the user calls the two positions, such as ``"pixel_x and pixel_y"``.
    given
        Micrometres per pixel that the user passed, checked.
    """
    try:
        lattice = fit_lattice(index, xy, step_um)
    except ScaleError:
        if given is None:
            raise
        return given
    if lattice.mirrored:
        warn(
            f"{name}: the positions are a mirror image of the array: {axes} appear swapped, or the image is mirrored. "
            "Draw the spots on the image with hs.pl.spatial(adata): they must lie on the tissue"
        )
    if given is not None:
        if (message := apart(("mpp=", given), ("the pitch of the array", lattice.mpp))) is not None:
            warn(f"{name}: {message}")
        return given
    if abs(np.log(lattice.column_mpp / lattice.row_mpp)) > np.log1p(_ANISOTROPIC):
        log.warning(
            "%s: %.4f um per pixel from column to column of the array, %.4f from row to row; the mean, %.4f, is used",
            name, lattice.column_mpp, lattice.row_mpp, lattice.mpp,
        )  # fmt: skip
    return lattice.mpp


def apart(believed: tuple[str, float], other: tuple[str, float]) -> str | None:
    """Sentence on two statements (who, um per pixel) of one scale; None where they agree."""
    if abs(other[1] / believed[1] - 1) <= APART:
        return None
    return f"{other[0]} says {other[1]:.4f} um per pixel, {believed[0]} {believed[1]:.4f}; {believed[0]} is believed"
