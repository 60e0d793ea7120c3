"""Micrometres per pixel from the known geometry of a spot array."""

import numpy as np
from numpy.typing import ArrayLike

from .._errors import ScaleError
from .._units import check_mpp


def lattice_mpp(index: ArrayLike, xy: ArrayLike, step_um: ArrayLike) -> float:
    """Micrometres per pixel of the picture of a spot array.

    All spots are fitted at once by one affine map. Missing spots do not matter to it, and neither does the jitter of
    printed arrays, which makes the distance to the *nearest* spot up to 8 % shorter than the pitch.

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
    area = abs(np.linalg.det(affine[:2]))  # square pixels per square micrometre
    return check_mpp(area**-0.5 if area > 0 else np.inf, source="the pitch of the spot array")
