"""The part of the slide image that lies under a panel, read at the resolution that the panel can show."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from .._errors import FileError, ImageError, MissingError
from ..io import SlideImage
from ._extent import Box
from ._picture import can_open, has_picture, lowres, open_picture
from ._views import View

_PER_INCH = 300  # what print asks for
_MOST = 4000
_COARSEST_UM = 15.0  # a pixel; readers take more for a mistake

log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class Backdrop:
    """Pixels, and the box of the frame that they cover."""

    pixels: Any  # rows, columns (, 3)
    box: Box

    def draw(self, ax: Axes) -> None:
        """Draw it; limits are set by the caller."""
        x0, y0, x1, y1 = self.box
        ax.imshow(self.pixels, extent=(x0, x1, y1, y0), cmap="gray", zorder=0)


def backdrop(view: View, inches: float) -> Backdrop | None:
    """Image under a view whose longer side takes ``inches``; None, and a line in the log, where there is none."""
    if not has_image(view):
        log.info("%s: no image is linked; drawn on white", view.library_id)
        return None
    try:
        if not can_open(view.adata, view.library_id):
            pixels, scale = lowres(view.adata, view.library_id)
            return Backdrop(displayable(pixels), (0.0, 0.0, pixels.shape[1] / scale, pixels.shape[0] / scale))
        with open_picture(view.adata, view.library_id) as image:
            return _read(image, view, min(int(inches * _PER_INCH), _MOST))
    except (ImageError, FileError, MissingError) as error:
        log.warning("%s: drawn on white, as its image can't be read: %s", view.library_id, error)
        return None


def has_image(view: View) -> bool:
    """Whether an image is linked to the section, or carried by it."""
    return has_picture(view.adata, view.library_id)


def _read(image: SlideImage, view: View, longest: int) -> Backdrop:
    x0, y0, x1, y1 = view.box
    side = max(view.width, view.height)
    if image.has_mpp:
        mpp = max(image.mpp, min(image.mpp * side / longest, _COARSEST_UM))
        pixels = image.read(x0, y0, x1 - x0, y1 - y0, mpp=mpp)
        return Backdrop(displayable(pixels), view.box)
    most = min(longest * max(image.width, image.height) / side, _MOST)
    pixels, _ = image.thumbnail(round(most))
    return Backdrop(displayable(pixels), (0.0, 0.0, float(image.width), float(image.height)))


def displayable(pixels: Any) -> Any:
    """RGB as it is, floats above 1 by their largest; of any other number of channels the first, in grey."""
    rgb = pixels.shape[-1] == 3
    if rgb and pixels.dtype.kind == "u":
        return (pixels / np.iinfo(pixels.dtype).max).astype(np.float32) if pixels.dtype != np.uint8 else pixels
    if not rgb:
        return pixels[..., 0]
    pixels = np.nan_to_num(pixels, posinf=0, neginf=0)
    return (pixels / max(1.0, float(pixels.max(initial=1.0)))).clip(0, 1)
