"""A section's entry in ``uns["spatial"]``: its linked image, a small picture for plots, and the scale."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import ImageError, OptionError
from .._files import atomic
from .._keys import LibraryKeys
from .._settings import settings
from .._units import check_mpp
from ._text import existing
from .image import SlideImage, open_image

log = logging.getLogger("histoscribe")

_HIRES_PX = 2000
_IN_MEMORY_PX = 64_000_000
_DISAGREE = 0.1


def entry(
    source: str | Path | NDArray[Any] | None,
    xy: NDArray[np.float64],
    *,
    mpp: float | None,
    scale: float = 1.0,
    spot_diameter: float = 1.0,
    patient: str | None = None,
) -> dict[str, Any]:
    """Describe one section as scanpy does, with our metadata.

    Parameters
    ----------
    source
        Image file to link, an array, or None.
    xy
        Positions in full-resolution pixels, to see that they lie in the image.
    mpp
        Micrometres per full-resolution pixel; None where nobody knows.
    scale
        Pixels of the linked image per full-resolution pixel.
    spot_diameter
        In full-resolution pixels.
    patient
        Whose section it is.
    """
    known = {LibraryKeys.MPP: mpp, LibraryKeys.PATIENT: patient}
    metadata: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
    factors = {LibraryKeys.SPOT_DIAMETER: float(spot_diameter)}
    images: dict[str, NDArray[Any]] = {}
    if source is not None and not isinstance(source, (str, Path)):
        source, images = keep_array(source, mpp=None if mpp is None else mpp / scale)
    if images:
        factors[LibraryKeys.HIRES_SCALE] = float(scale)
        check_inside(xy * scale, *images[LibraryKeys.HIRES].shape[1::-1])
    elif source is not None:
        path = existing(source, argument="image").resolve()
        with open_image(path) as image:
            check_inside(xy * scale, image.width, image.height)
            _compare(image, mpp, scale)
            picture, per_pixel = image.thumbnail(_HIRES_PX)
            images = {LibraryKeys.HIRES: as_uint8_rgb(picture)}
            metadata |= {LibraryKeys.PATH: str(path), LibraryKeys.SHA256: image.sha256}
        factors[LibraryKeys.HIRES_SCALE] = float(per_pixel * scale)
    metadata[LibraryKeys.SCALE] = float(scale)
    return {LibraryKeys.IMAGES: images, LibraryKeys.SCALEFACTORS: factors, LibraryKeys.METADATA: metadata}


def check_scale(scale: float, *, argument: str = "image_scale") -> float:
    """Pixels of the linked image per full-resolution pixel, or an error."""
    if not (np.isfinite(scale) and 0 < scale <= 1):
        expected = "above 0, at most 1"
        raise OptionError(argument, found=repr(scale), expected=expected, fix="Divide the two widths in pixels.")
    return float(scale)


def check_inside(xy: NDArray[np.float64], width: int, height: int) -> None:
    """See that positions, in pixels of an image, fall into it; a few outside are allowed, half of them are not."""
    inside = _share_inside(xy, width, height)
    if inside >= 0.5:
        return
    low, high = np.nanmin(xy, axis=0).round(), np.nanmax(xy, axis=0).round()
    swapped = _share_inside(xy[:, ::-1], width, height)
    fix = "Link the image that the positions were measured on, or give its scale."
    if swapped > 0.9:
        fix = f"x and y appear swapped: exchanged, {swapped:.0%} fall inside."
    raise ImageError(
        "spot positions",
        found=f"{inside:.0%} of {len(xy)} inside the image (x {low[0]:g} to {high[0]:g}, y {low[1]:g} to {high[1]:g})",
        expected=f"positions within {width} x {height} pixels",
        fix=fix,
    )


def _share_inside(xy: NDArray[np.float64], width: int, height: int) -> float:
    return float(((xy >= 0) & (xy <= (width, height))).all(axis=1).mean())


def _compare(image: SlideImage, mpp: float | None, scale: float) -> None:
    if mpp is None or not image.has_mpp:
        return
    if abs(image.mpp * scale / mpp - 1) > _DISAGREE:
        log.warning(
            "%s: the file says %.4f um per pixel, the spots say %.4f; the spots are believed",
            image.source, image.mpp * scale, mpp,
        )  # fmt: skip


def as_uint8_rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn a picture of any type and number of channels into one that plots show."""
    picture = np.atleast_3d(picture)
    if picture.dtype != np.uint8:
        top = np.iinfo(picture.dtype).max if picture.dtype.kind in "ui" else max(1.0, float(np.nanmax(picture)))
        picture = (np.clip(picture / top, 0, 1) * 255).astype(np.uint8)
    return np.repeat(picture[..., :1], 3, axis=2) if picture.shape[2] < 3 else picture[..., :3]


def keep_array(pixels: NDArray[Any], *, mpp: float | None) -> tuple[Path | None, dict[str, NDArray[Any]]]:
    """Keep an image that has no file: in the AnnData up to 64 megapixels, above in an OME-TIFF in the cache.

    Parameters
    ----------
    pixels
        Image (rows, columns, channels) or (rows, columns); anything with numpy's indexing.
    mpp
        Micrometres per pixel of it, for the file's tags.

    Returns
    -------
    Path of the file or None, and the pictures that go into the AnnData.
    """
    if pixels.ndim not in (2, 3) or min(pixels.shape[:2]) < 1:
        raise ImageError(
            "image", found=f"shape {pixels.shape}", expected="(rows, columns, channels)", fix="Transpose it."
        )
    if pixels.shape[0] * pixels.shape[1] <= _IN_MEMORY_PX:
        return None, {LibraryKeys.HIRES: np.array(pixels)}
    from ._ome import content_hash, write_ome_tiff

    path = settings.cache_dir / "images" / f"{content_hash(pixels)[:16]}.ome.tif"
    if not path.is_file():
        with atomic(path) as beside:
            write_ome_tiff(beside, pixels, mpp=mpp)
    log.info("an image of %d x %d pixels was kept in %s", pixels.shape[1], pixels.shape[0], path)
    return path, {}


def given_mpp(mpp: float | None) -> float | None:
    """Check what the user passed as mpp=, if anything."""
    return None if mpp is None else check_mpp(mpp, source="mpp=")
