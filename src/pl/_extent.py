"""Where a section's spots lie, how large they are, and the box that shows them: pure geometry in pixels."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1

_SPOT_OF_PITCH = 0.6  # ST: 100 of 200 um; Visium: 55 of 100 um, or 65 by spot_diameter_fullres
_IMPLAUSIBLE = 0.1  # of the pitch: a placeholder such as 1 px, and nothing that can be seen
_TISSUE_BEYOND = 1.75  # pitches that tissue reaches beyond the outermost spots: the tips of her2st C2
_BLANK_BEYOND = 0.5  # pitches on white, where a margin shows nothing
_MARGIN = 0.03  # of the longer side, for spots too many to see
_LONE_SPOT_PX = 100.0


def diameter_of(said: float, apart: float | None) -> float:
    """Diameter of a spot: what is said (NaN: nothing) where it can be, else a share of the distance ``apart``."""
    if np.isfinite(said) and said > _IMPLAUSIBLE * (apart or 0.0):
        return said
    return _SPOT_OF_PITCH * apart if apart is not None else _LONE_SPOT_PX


def on_image(xy: NDArray[np.float64], size: tuple[float, float], beyond: float) -> NDArray[np.bool_]:
    """Spots that an image of this width and height holds, or no farther ``beyond`` its border.

    Where that is fewer than half of them, the image is the wrong one, not the spots: all.
    """
    near: NDArray[np.bool_] = np.all((xy >= -beyond) & (xy <= np.add(size, beyond)), axis=1)
    return near if near.mean() >= 0.5 else np.ones(len(xy), dtype=bool)


def extent(xy: NDArray[np.float64], diameter: float) -> Box:
    """Box of the spots."""
    (x0, y0), (x1, y1) = xy.min(axis=0) - diameter / 2, xy.max(axis=0) + diameter / 2
    return float(x0), float(y0), float(x1), float(y1)


def framed(spots: Box, apart: float | None, image: tuple[float, float] | None) -> Box:
    """Box of the spots with a margin, cut where an image of this width and height ends."""
    x0, y0, x1, y1 = spots
    pitches = _BLANK_BEYOND if image is None else _TISSUE_BEYOND
    margin = max(pitches * (apart or 0.0), _MARGIN * max(x1 - x0, y1 - y0))
    if image is None:
        return x0 - margin, y0 - margin, x1 + margin, y1 + margin
    x0, y0 = (max(own - margin, min(0.0, own)) for own in (x0, y0))
    x1, y1 = (min(own + margin, max(end, own)) for own, end in zip((x1, y1), image, strict=True))
    return x0, y0, x1, y1


def overlap(box: Sequence[float], other: Box) -> bool:
    """Whether two boxes share an area; one that is no box shares nothing."""
    if len(box) != 4:
        return False
    x0, y0, x1, y1 = box
    return bool(x0 < x1 and y0 < y1 and x0 < other[2] and x1 > other[0] and y0 < other[3] and y1 > other[1])


def inside(xy: NDArray[np.float64], box: Box, diameter: float) -> NDArray[np.bool_]:
    """Spots of which something shows in the box."""
    low, high = np.array(box[:2]) - diameter / 2, np.array(box[2:]) + diameter / 2
    return np.all((xy > low) & (xy < high), axis=1)


def resized(box: Box, width: float, height: float) -> Box:
    """Box of another size around the same centre."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
