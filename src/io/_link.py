"""A section's entry in ``uns["spatial"]``: its linked image, a small picture for plots, and the scale."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import ImageError, OptionError, ScaleError
from .._files import atomic
from .._keys import LibraryKeys
from .._record import each
from .._sections import share_inside, swapped_hint
from .._settings import settings
from .._units import check_mpp
from .._warn import warn
from ._colours import remark_on_colours
from ._lattice import apart
from ._paths import existing
from .image import SlideImage, open_image
from .image._array import check_axes
from .image._locate import eight_bit

log = logging.getLogger("histoscribe")

SCALES = {LibraryKeys.HIRES: LibraryKeys.HIRES_SCALE, LibraryKeys.LOWRES: LibraryKeys.LOWRES_SCALE}
HIRES_PX = 2000
_IN_MEMORY_PX = 64_000_000
_LEAST_INSIDE = 0.9
_LEAST_COVERED = 0.01
_SIZE_APART = 0.02


def entry(
    source: str | Path | NDArray[Any] | None,
    xy: NDArray[np.float64],
    *,
    mpp: float | None,
    scale: float = 1.0,
    spot_diameter: float = 1.0,
    patient: str | None = None,
    believed: str = "the pitch of the array",
    least_inside: float = _LEAST_INSIDE,
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
    believed
        Who says ``mpp``, for the message where the file says otherwise.
    least_inside
        Share of the positions that must lie in the image.
    """
    known = {LibraryKeys.MPP: mpp, LibraryKeys.PATIENT: patient}
    metadata: dict[str, Any] = {key: value for key, value in known.items() if value is not None}
    factors = {LibraryKeys.SPOT_DIAMETER: float(spot_diameter)}
    images: dict[str, NDArray[Any]] = {}
    if source is not None and not isinstance(source, (str, Path)):
        source, images = keep_array(source, mpp=None if mpp is None else mpp / scale)
    remark = None
    if images:
        factors[LibraryKeys.HIRES_SCALE] = float(scale)
        height, width = images[LibraryKeys.HIRES].shape[:2]
        check_inside(xy * scale, width, height, least=least_inside)
        with open_image(eight_bit(images[LibraryKeys.HIRES])) as image:
            remark = remark_on_colours(image, xy * scale)
    elif source is not None:
        path = existing(source, argument="image").resolve()
        with opened(path, mpp, scale) as image:
            check_inside(xy * scale, image.width, image.height, least=least_inside)
            _compare(image, mpp, scale, believed)
            remark = remark_on_colours(image, xy * scale)
            picture, per_pixel = image.thumbnail(HIRES_PX)
            images = {LibraryKeys.HIRES: as_uint8_rgb(picture)}
            metadata |= {LibraryKeys.PATH: str(path), LibraryKeys.SHA256: image.sha256}
        factors[LibraryKeys.HIRES_SCALE] = float(per_pixel * scale)
    metadata[LibraryKeys.SCALE] = float(scale)
    if remark is not None:
        warn(remark)
    return {LibraryKeys.IMAGES: images, LibraryKeys.SCALEFACTORS: factors, LibraryKeys.METADATA: metadata}


def opened(path: Path, mpp: float | None, scale: float) -> SlideImage:
    """Open a file to be linked; one whose own um per pixel contradict each other only where ``mpp`` says better."""
    try:
        return open_image(path)
    except ScaleError:
        if mpp is None:
            raise
        return open_image(path, mpp=mpp / scale)


def check_scale(scale: float, *, argument: str = "image_scale") -> float:
    """Pixels of the linked image per full-resolution pixel, or an error."""
    if not (np.isfinite(scale) and 0 < scale <= 1):
        expected = "above 0, at most 1"
        raise OptionError(argument, found=repr(scale), expected=expected, fix="Divide the two widths in pixels.")
    return float(scale)


def check_inside(xy: NDArray[np.float64], width: float, height: float, *, least: float = _LEAST_INSIDE) -> None:
    """See that positions, in pixels of an image, fall into it; some outside are reported, many are an error."""
    xy = xy[np.isfinite(xy).all(axis=1)]
    if not len(xy):
        return
    inside = share_inside(xy, width, height)
    low, high = xy.min(axis=0), xy.max(axis=0)
    extent = f"x {low[0]:.0f} to {high[0]:.0f}, y {low[1]:.0f} to {high[1]:.0f}"
    if inside < least:
        swapped = share_inside(xy[:, ::-1], width, height)
        fix = "Link the image that the positions were measured on, or give its scale."
        if swapped > max(inside, _LEAST_INSIDE):
            fix = swapped_hint(swapped)
        raise ImageError(
            "spot positions",
            found=f"{inside:.0%} of {len(xy)} inside the image ({extent})",
            expected=f"positions within {width} x {height} pixels",
            fix=fix,
        )
    if inside < 1:
        log.warning(
            "%d of %d spots lie outside the image of %g x %g pixels (%s)",
            round((1 - inside) * len(xy)), len(xy), width, height, extent,
        )  # fmt: skip
    covered = float((high - low).prod()) / (width * height)
    if len(xy) > 2 and covered < _LEAST_COVERED:
        log.warning(
            "the spots (%s) cover %.2f %% of the image of %d x %d pixels: are image and scale right?",
            extent, 100 * covered, width, height,
        )  # fmt: skip


def check_size(
    field: str, size: tuple[float, float], pictures: Mapping[str, NDArray[Any]], factors: Mapping[str, float]
) -> None:
    """See that an image is as large, in full-resolution pixels, as one of the section's small pictures says."""
    stated = {n: np.array(p.shape[1::-1]) / factors[SCALES[n]] for n, p in pictures.items() if SCALES.get(n) in factors}
    # The sides of a small picture are rounded to whole pixels.
    if not stated or any(
        (abs(full - np.array(size)) <= _SIZE_APART * full + 1 / factors[SCALES[name]]).all()
        for name, full in stated.items()
    ):
        return
    sizes = ", ".join(f"{full[0]:.0f} x {full[1]:.0f} by {name!r}" for name, full in stated.items())
    raise ImageError(
        field,
        found=f"{size[0]:.0f} x {size[1]:.0f} full-resolution pixels",
        expected=sizes,
        fix="Link the image that the positions were measured on, or give its scale: hs.io.link_image(image_scale=).",
    )


def _compare(image: SlideImage, mpp: float | None, scale: float, believed: str) -> None:
    if mpp is None or not image.has_mpp:
        return
    if (message := apart((believed, mpp), ("the file", image.mpp * scale))) is not None:
        log.warning("%s: %s", image.source, message)


def as_uint8_rgb(picture: NDArray[Any]) -> NDArray[np.uint8]:
    """Turn a picture of any type and number of channels into one that plots show."""
    picture = np.atleast_3d(picture)
    if picture.dtype != np.uint8:
        picture = np.nan_to_num(picture, posinf=0, neginf=0) if picture.dtype.kind == "f" else picture
        top = np.iinfo(picture.dtype).max if picture.dtype.kind in "ui" else max(1.0, float(picture.max()))
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
    check_axes("image", tuple(pixels.shape), pixels.dtype)
    if pixels.shape[0] * pixels.shape[1] <= _IN_MEMORY_PX:
        return None, {LibraryKeys.HIRES: np.array(pixels)}
    from ._ome import content_hash, write_ome_tiff

    path = settings.cache_dir / "images" / f"{content_hash(pixels)[:16]}.ome.tif"
    if not path.is_file():
        with atomic(path) as beside:
            write_ome_tiff(beside, pixels, mpp=mpp)
    log.info("an image of %d x %d pixels was kept in %s", pixels.shape[1], pixels.shape[0], path)
    return path, {}


def single(adata: Any, *, fix: str) -> AnnData:
    """See that the user passed one AnnData, and no list of them."""
    adatas = each(adata)
    if adatas[0] is not adata:
        raise OptionError("adata", found=f"a list of {len(adatas)}", expected="one AnnData", fix=fix)
    return adatas[0]


def given_mpp(mpp: float | None) -> float | None:
    """Check what the user passed as mpp=, if anything."""
    return None if mpp is None else check_mpp(mpp, source="mpp=")
