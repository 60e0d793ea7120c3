"""Mistakes that positions are known to carry, each as the affine map that undoes it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AS_LINKED = "as linked"
WRONG_SCALE = 1.1  # the factor that scale hypotheses undo, either way

# What becomes of x and y, and how often the far side of the image (width, height) is added.
_TURNS = {
    AS_LINKED: ((1, 0), (0, 1)),
    "mirrored left to right": ((-1, 0), (0, 1)),
    "mirrored top to bottom": ((1, 0), (0, -1)),
    "turned by 180 degrees": ((-1, 0), (0, -1)),
    "x and y swapped": ((0, 1), (1, 0)),
    "x and y swapped, turned by 180 degrees": ((0, -1), (-1, 0)),
    "turned by 90 degrees clockwise": ((0, -1), (1, 0)),
    "turned by 90 degrees counterclockwise": ((0, 1), (-1, 0)),
}
_SCALES = {"positions too large": 1 / WRONG_SCALE, "positions too small": WRONG_SCALE}


@dataclass(frozen=True)
class Hypothesis:
    """What may be wrong with the positions.

    Attributes
    ----------
    name
        What mends it: ``"mirrored left to right"`` is to be mirrored so.
    matrices
        Affine maps (3, 3) from the positions as they are to where the spots would lie, one for each centre.
    is_upright
        Whether they change the scale alone.
    """

    name: str
    matrices: tuple[Floats, ...]
    is_upright: bool = False


def hypotheses(xy: Floats, size: tuple[float, float]) -> list[Hypothesis]:
    """Orientations, about the image and about the spots, and scales; the first is the one that is linked."""
    made = [Hypothesis(AS_LINKED, (np.eye(3),), is_upright=True)]
    middle = (xy.min(axis=0) + xy.max(axis=0)) / 2
    for name, turn in list(_TURNS.items())[1:]:
        linear = np.array(turn, dtype=np.float64)
        about_image = np.where(linear.sum(axis=1) < 0, size, 0.0)
        made.append(Hypothesis(name, (_affine(linear, about_image), _affine(linear, middle - linear @ middle))))
    for name, factor in _SCALES.items():
        linear = factor * np.eye(2)
        about = (_affine(linear, np.zeros(2)), _affine(linear, middle - linear @ middle))
        made.append(Hypothesis(name, about, is_upright=True))
    return made


def moved(matrix: Floats, xy: Floats) -> Floats:
    """Positions (n, 2) under an affine map (3, 3)."""
    return xy @ matrix[:2, :2].T + matrix[:2, 2]


def displaced(matrix: Floats, offset: Floats) -> Floats:
    """Affine map (3, 3) that also moves by ``offset``, x and y."""
    out = matrix.copy()
    out[:2, 2] += offset
    return out


def _affine(linear: Floats, offset: Floats) -> Floats:
    matrix = np.eye(3)
    matrix[:2, :2], matrix[:2, 2] = linear, offset
    return matrix
