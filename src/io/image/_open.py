"""Which reader opens what, and the micrometres per pixel that its metadata states."""

from pathlib import Path
from typing import Any

from ..._errors import FileError, ImageError, ScaleError
from ..._units import is_plausible_mpp
from .._paths import FIXES, expanded, what_instead
from ._array import open_array
from ._flat import open_flat
from ._source import Source
from ._tiff import open_tiff
from ._xarray import is_xarray, open_xarray

_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG"
_DIFFERENT = 0.01  # between x and y


def open_source(source: Any) -> Source:
    """Open a path, a SpatialData image or an array."""
    if isinstance(source, (str, Path)):
        return _open_file(expanded(source))
    return open_xarray(source) if is_xarray(source) else open_array(source)


def _open_file(path: Path) -> Source:
    if kind := what_instead(path):
        fix = "Open a zarr store with spatialdata, and pass sdata.images[name]." if kind == "a folder" else FIXES[kind]
        raise FileError(f"source {str(path)!r}", found=kind, expected="an image file on disk", fix=fix)
    try:
        with path.open("rb") as file:
            head = file.read(4)
    except OSError as error:
        fix = "Check its permissions."
        raise FileError(str(path), found=str(error), expected="a readable file", fix=fix) from error
    if path.suffix.lower() == ".mrxs":  # the file itself is a small JPEG; the slide lies in the folder beside it
        fix = f"Convert it: vips tiffsave {path.name} OUT.tif --tile --pyramid --compression jpeg."
        raise ImageError(str(path), found="a MIRAX slide", expected="TIFF, SVS, NDPI, JPEG or PNG", fix=fix)
    if head in _TIFF:
        return open_tiff(path)
    if head.startswith((_JPEG, _PNG)):
        return open_flat(path)
    found = f"a file that begins with {head!r}"
    fix = "Convert it to a tiled pyramidal TIFF, e.g. with vips or bfconvert."
    raise ImageError(str(path), found=found, expected="TIFF, SVS, NDPI, JPEG or PNG", fix=fix)


def stated_mpp(source: Source) -> float | None:
    """Micrometres per pixel by the first metadata that is plausible, None if there is none."""
    for size in source.pixel_sizes:
        if is_plausible_mpp(size.x) and is_plausible_mpp(size.y):
            if abs(size.x / size.y - 1) > _DIFFERENT:
                raise ScaleError(
                    f"mpp of {source.name}",
                    found=f"{size.x:.4g} in x and {size.y:.4g} in y, by {size.where}",
                    expected="square pixels",
                    fix="Resample the image to square pixels, or pass mpp= if the metadata is wrong.",
                )
            return (size.x + size.y) / 2
    return None


def missing_mpp(source: Source) -> ScaleError:
    """Error that says where micrometres per pixel were looked for."""
    rejected = [f"{size.x:.4g} um from {size.where} is not plausible" for size in source.pixel_sizes]
    return ScaleError(
        f"mpp of {source.name}",
        found=f"none ({'; '.join([source.looked, *rejected])})",
        expected="micrometres per pixel",
        fix="Pass mpp= to open_image, or set mpp in the metadata of uns['spatial'].",
    )
