"""Micrometres per pixel as TIFF files state them: OME-XML, Aperio's description, resolution tags."""

import re
from typing import Any
from xml.etree import ElementTree

import tifffile

from ._source import PixelSize

LOOKED = "OME-XML, Aperio's MPP and the TIFF resolution tags name none that is plausible"
_UM = {"m": 1e6, "cm": 1e4, "mm": 1e3, "µm": 1.0, "um": 1.0, "nm": 1e-3, "pm": 1e-6, "Å": 1e-4, "in": 25_400.0}
_UM_PER_TAG_UNIT = {2: 25_400.0, 3: 10_000.0, 4: 1e3, 5: 1.0}  # inch, cm, mm, um


def pixel_sizes(tif: tifffile.TiffFile, number: int, page: Any) -> tuple[PixelSize, ...]:
    """List what the file says of the image ``number``, whose first page is ``page``; the most trusted first."""
    found = (_from_ome(tif.ome_metadata, number), _from_aperio(page.description), _from_tags(page))
    return tuple(size for size in found if size is not None)


def _from_ome(xml: str | None, number: int) -> PixelSize | None:
    if not xml:
        return None
    try:
        images = ElementTree.fromstring(xml).findall("{*}Image/{*}Pixels")
        pixels = images[number].attrib
        x, y = (
            float(pixels[f"PhysicalSize{axis}"]) * _UM[pixels.get(f"PhysicalSize{axis}Unit", "µm")] for axis in "XY"
        )
    except (ElementTree.ParseError, LookupError, ValueError):  # not stated, or in "pixel"
        return None
    return PixelSize("OME-XML PhysicalSizeX and PhysicalSizeY", x, y)


def _from_aperio(description: str) -> PixelSize | None:
    if not description.startswith("Aperio"):
        return None
    stated = re.search(r"\bMPP\s*=\s*(\d*\.?\d+)", description)
    return PixelSize("Aperio's MPP", float(stated[1]), float(stated[1])) if stated else None


def _from_tags(page: Any) -> PixelSize | None:
    unit = _UM_PER_TAG_UNIT.get(int(page.tags.valueof("ResolutionUnit", default=2)))
    per_unit = []
    for name in ("XResolution", "YResolution"):
        numerator, denominator = page.tags.valueof(name, default=(0, 1))
        per_unit.append(numerator / denominator if denominator else 0)
    if unit is None or min(per_unit) <= 0:
        return None
    return PixelSize("the TIFF resolution tags", unit / per_unit[0], unit / per_unit[1])
