"""Rows F4, F5 and F13: where pixels come from, and of which type and scale they are."""

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from anndata import AnnData
from PIL import Image

import histoscribe as hs
from histoscribe._errors import HistoscribeError, ImageError, ScaleError

from .row import Defined, Elsewhere, Raises, Row, Try
from .rows_g_files import keep
from .sections import halved
from .tries import image_vectors

_STARTS = (0.0, 0.2, 0.3, 0.5, 0.7, 31.25)
_SHRINKS = (1, 2, 4, 10)


def _ramp() -> np.ndarray:
    """Each pixel holds the place of its centre, x in the first channel and y in the second."""
    y, x = np.mgrid[:300, :320] + 0.5
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.float32)


def _read(ramp: np.ndarray) -> list[tuple[float, float, np.ndarray]]:
    """Boxes of 20 to 200 pixels whose corner lies between pixels, shrunk to 20: start, pixels a pixel, and what was read."""
    found: list[tuple[float, float, np.ndarray]] = []
    with hs.io.open_image(ramp, mpp=0.5) as image:
        for start in _STARTS:
            for shrink in _SHRINKS:
                boxes = np.array([[start + 20, start + 10, 20 * shrink, 20 * shrink]])
                ((_, batch),) = image.read_tiles(boxes, 20)
                found.append((start, shrink, batch[0]))
    return found


def _in_place(_: Any, found: list[tuple[float, float, np.ndarray]]) -> None:
    """The centre of pixel k of a tile lies (k + 1/2) shrunk pixels from its corner."""
    for start, shrink, tile in found:
        centres = (np.arange(20) + 0.5) * shrink
        np.testing.assert_allclose(tile[..., 0], np.tile(start + 20 + centres, (20, 1)), atol=0.02)
        np.testing.assert_allclose(tile[..., 1], np.tile((start + 10 + centres)[:, None], (1, 20)), atol=0.02)


def _crop(adata: AnnData) -> list[tuple[float, float, np.ndarray]]:
    """The same by ``read``, which shrinks by um per pixel."""
    found: list[tuple[float, float, np.ndarray]] = []
    with hs.io.open_image(_ramp(), mpp=0.5) as image:
        for start in _STARTS:
            for shrink in _SHRINKS:
                side = 20 * shrink
                tile = image.read(start + 20, start + 10, side, side, mpp=0.5 * shrink)
                assert tile.shape[:2] == (20, 20)
                found.append((start, shrink, tile))
    return found


def _places() -> list[Row | Elsewhere]:
    tried: dict[str, Try] = {"io.open_image read_tiles": _read, "io.open_image read": _crop}
    result = Defined("the pixels of that place, to a fiftieth of a pixel", _in_place)
    return [
        Row("F4", "boxes whose corner lies between pixels", _ramp, tried, result),
        Row("F5", "boxes read at coarser pixels", _ramp, tried, result),
    ]


def _deep() -> np.ndarray:
    return np.linspace(0, 65535, 64 * 64).astype(np.uint16).reshape(64, 64)


def _png() -> Path:
    held = BytesIO()
    Image.fromarray(_deep()).save(held, "PNG")
    return keep("deep.png", held.getvalue())


def _tiff(pixels: np.ndarray, name: str, **options: Any) -> Path:
    held = BytesIO()
    tifffile.imwrite(held, pixels, **options)
    return keep(name, held.getvalue())


def _rgb16() -> np.ndarray:
    return np.stack([_deep(), _deep()[::-1], _deep().T], axis=-1)


def _pixels(path: Path) -> np.ndarray:
    with hs.io.open_image(path) as image:
        return image.read(0, 0, image.width, image.height)


def _all_bits(expected: Callable[[], np.ndarray]) -> Callable[[Any, np.ndarray], None]:
    def check(_: Any, found: np.ndarray) -> None:
        assert found.dtype == np.uint16
        np.testing.assert_array_equal(np.squeeze(found), expected())

    return check


def _linked_deep() -> AnnData:
    """A section whose linked image has 16 bits."""
    adata = halved()
    entry = adata.uns["spatial"]["toy_1"]
    pixels = entry["images"]["hires"].astype(np.uint16) * 257
    entry["metadata"]["source_image_path"] = str(_tiff(pixels, "section16.tif", photometric="rgb"))
    return adata


def _half_jpeg() -> Path:
    held = BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(held, "JPEG", quality=95)
    return keep("half.jpg", held.getvalue()[: len(held.getvalue()) // 2])


def _at_72_dpi() -> Path:
    pixels = np.full((64, 64, 3), 200, np.uint8)
    return _tiff(pixels, "dpi.tif", photometric="rgb", resolution=(72, 72), resolutionunit="INCH")


def _mpp(path: Path) -> float:
    with hs.io.open_image(path) as image:
        return image.mpp


def _kinds() -> list[Row | Elsewhere]:
    """F13: 16 bits, half a file, a resolution that is nobody's."""
    read: dict[str, Try] = {"io.open_image": _pixels}
    grey, rgb = Defined("all 16 bits", _all_bits(_deep)), Defined("all 16 bits", _all_bits(_rgb16))
    eight = Raises(ImageError, "section16", ".", "uint16")
    broken = Raises(HistoscribeError, "half.jpg", ".", ".")
    scale = Raises(ScaleError, "mpp", "Pass mpp=", "352.8 um.*not plausible")
    return [
        Row("F13", "a grey TIFF of 16 bits", lambda: _tiff(_deep(), "deep.tif"), read, grey),
        Row("F13", "an RGB TIFF of 16 bits", lambda: _tiff(_rgb16(), "rgb16.tif", photometric="rgb"), read, rgb),
        Row("F13", "a section with an image of 16 bits", _linked_deep, {"tl.encode_image": image_vectors}, eight),
        Row("F13", "half a JPEG", _half_jpeg, read, broken),
        Row("F13", "a TIFF of 72 dots an inch", _at_72_dpi, {"io.open_image": _mpp}, scale),
    ]


ROWS: list[Row | Elsewhere] = [*_places(), *_kinds()]
