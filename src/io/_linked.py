"""The image that link_image is given, in the frame of the positions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from .._keys import LibraryKeys
from ._colours import remark_on_colours
from ._link import HIRES_PX, SCALES, as_uint8_rgb, check_scale, check_size, keep_array, opened
from ._paths import existing
from .image import open_image
from .image._locate import eight_bit


@dataclass(frozen=True)
class Linked:
    """An image in the frame of the positions, and what it adds to the section's entry."""

    width: float
    height: float
    scale: float
    mpp: float | None = None  # of a full-resolution pixel, by the image's own metadata
    remark: str | None = None  # on its colours
    images: dict[str, Any] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def linked_image(
    old: Mapping[str, Any], image: Any, scale: float, mpp: float | None, xy: NDArray[np.float64]
) -> Linked:
    """Open what the user passed, and describe it.

    Parameters
    ----------
    old
        What ``uns["spatial"]`` says of the section.
    image
        A path, an array, or the name of a picture that ``old`` holds.
    scale
        Its pixels per full-resolution pixel.
    mpp
        Micrometres per full-resolution pixel, where the user gave it.
    xy
        Positions of the spots, full-resolution pixels.
    """
    pictures = old.get(LibraryKeys.IMAGES, {})
    factors = old.get(LibraryKeys.SCALEFACTORS, {})
    if isinstance(image, str) and image in SCALES:
        return _picture(pictures, factors, image, scale, xy)
    if isinstance(image, (str, Path)):
        return _file(existing(image, argument="image").resolve(), scale, mpp, pictures, factors, xy)
    image = np.asarray(image)
    kept, images = keep_array(image, mpp=None if mpp is None else mpp / scale)
    if kept is not None:
        return _file(kept, scale, mpp, pictures, factors, xy)
    height, width = image.shape[:2]
    check_size("image", (width / scale, height / scale), pictures, factors)
    remark = _remark(images[LibraryKeys.HIRES], xy * scale)
    return Linked(width, height, scale, remark=remark, images=images, factors={LibraryKeys.HIRES_SCALE: scale})


def _remark(pixels: Any, xy: NDArray[np.float64]) -> str | None:
    with open_image(eight_bit(np.asarray(pixels))) as image:
        return remark_on_colours(image, xy)


def _picture(
    pictures: Mapping[str, Any], factors: Mapping[str, Any], name: str, scale: float, xy: NDArray[np.float64]
) -> Linked:
    """Make the picture of that name the linked image: it is ``hires`` from now on."""
    if name not in pictures:
        found = f"only {sorted(pictures)}"
        raise MissingError(f"images[{name!r}]", found=found, expected="it", fix="Name one of these, or pass a path.")
    if name == LibraryKeys.LOWRES and LibraryKeys.HIRES in pictures:
        found, fix = "'lowres', although there is images['hires']", "Pass image='hires', or remove it from uns."
        raise OptionError("image", found=found, expected="the finest picture", fix=fix)
    stated = check_scale(factors.get(SCALES[name], scale), argument=f"scalefactors[{SCALES[name]!r}]")
    if scale not in (1.0, stated):
        expected = f"{stated:g}, the scale factor of {name!r}"
        raise OptionError("image_scale", found=f"{scale:g}", expected=expected, fix="Leave image_scale= out.")
    height, width = pictures[name].shape[:2]
    images, factor = {LibraryKeys.HIRES: pictures[name]}, {LibraryKeys.HIRES_SCALE: stated}
    remark = _remark(pictures[name], xy * stated)
    return Linked(width, height, stated, remark=remark, images=images, factors=factor)


def _file(
    path: Path,
    scale: float,
    given: float | None,
    pictures: Mapping[str, Any],
    factors: Mapping[str, Any],
    xy: NDArray[np.float64],
) -> Linked:
    with opened(path, given, scale) as image:
        width, height = image.width, image.height
        check_size(f"image {path}", (width / scale, height / scale), pictures, factors)
        images, added = {}, {}
        if LibraryKeys.HIRES not in pictures:
            picture, per_pixel = image.thumbnail(HIRES_PX)
            images, added = {LibraryKeys.HIRES: as_uint8_rgb(picture)}, {LibraryKeys.HIRES_SCALE: per_pixel * scale}
        elif LibraryKeys.HIRES_SCALE not in factors:
            added = {LibraryKeys.HIRES_SCALE: pictures[LibraryKeys.HIRES].shape[1] / width * scale}
        mpp = image.mpp * scale if image.has_mpp else None
        metadata = {LibraryKeys.PATH: str(path), LibraryKeys.SHA256: image.sha256}
        remark = remark_on_colours(image, xy * scale)
    return Linked(width, height, scale, mpp, remark, images, added, metadata)
