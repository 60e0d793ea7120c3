"""Colour models of files turned into plain pixels: alpha over white, palettes looked up, 0 always dark."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_ROWS = 256  # as floats at a time


def background(dtype: np.dtype, n_channels: int) -> int:
    """Value of pixels where there is no image: white for bright-field images, 0 for all others."""
    return 255 if dtype == np.uint8 and n_channels in (1, 3) else 0


def white(dtype: np.dtype) -> float:
    """Largest value of a channel: of the type for integers, 1 for floats."""
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def over_white(pixels: NDArray, *, premultiplied: bool = False) -> NDArray:
    """Composite an image whose last channel is alpha over white, and drop that channel."""
    out = np.empty((*pixels.shape[:2], pixels.shape[2] - 1), dtype=pixels.dtype)
    full = white(pixels.dtype)
    for top in range(0, len(pixels), _ROWS):
        band: NDArray[np.floating] = pixels[top : top + _ROWS].astype(np.float32 if pixels.itemsize < 4 else np.float64)
        colour, opacity = band[..., :-1], band[..., -1:] / full
        mixed = (colour if premultiplied else colour * opacity) + full * (1 - opacity)
        out[top : top + _ROWS] = mixed if pixels.dtype.kind == "f" else np.rint(np.clip(mixed, 0, full))
    return out


def from_palette(indices: NDArray, colormap: NDArray) -> NDArray:
    """8-bit RGB of palette indices (rows, columns, 1); TIFF palettes (3, n) hold 16 bits a channel."""
    return (colormap.T >> 8).astype(np.uint8)[indices[..., 0]]


def inverted(pixels: NDArray) -> NDArray:
    """Brightness of pixels stored with 0 as white."""
    if pixels.dtype == np.bool_:
        return ~pixels
    return (white(pixels.dtype) - pixels).astype(pixels.dtype)


def from_ycbcr(pixels: NDArray) -> NDArray:
    """RGB of 8-bit YCbCr pixels (full range, ITU-R BT.601, as in JPEG)."""
    image = Image.frombytes("YCbCr", pixels.shape[1::-1], pixels.tobytes())
    return np.asarray(image.convert("RGB"))
