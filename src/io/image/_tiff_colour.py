"""How the samples of a TIFF page become pixels: palettes, inverted greys, YCbCr and alpha."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._errors import ImageError
from ._pixels import from_palette, from_ycbcr, inverted, over_white

_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_DECODER_CONVERTS = (6, 7, 33007, 34892)  # JPEG: libjpeg gives RGB
_APERIO_YCBCR = 33003  # JPEG2000 whose components are YCbCr, whatever the photometric tag says
_PREMULTIPLIED, _ALPHA = 1, 2


@dataclass(frozen=True)
class Colour:
    """What the pixels of a page are, and the way there from its decoded samples."""

    n_channels: int
    dtype: np.dtype
    convert: Callable[[NDArray], NDArray]


def colour_of(name: str, page: Any, n_pages: int) -> Colour:
    """Colour model of an image with ``n_pages`` pages, one a channel, that are all like ``page``."""
    kind, n_samples = page.photometric, page.samplesperpixel * n_pages
    if kind not in (_MINISWHITE, _MINISBLACK, _RGB, _PALETTE, _YCBCR):
        found = f"the colour model {getattr(kind, 'name', kind)}"
        fix = "Convert it, e.g.: vips colourspace IN OUT.tif srgb."
        raise ImageError(name, found=found, expected="RGB, grey, palette or YCbCr", fix=fix)
    if kind == _PALETTE and n_samples == 1:
        colormap = np.asarray(page.colormap)
        return Colour(3, np.dtype(np.uint8), lambda samples: from_palette(samples, colormap))
    if page.compression == _APERIO_YCBCR or (kind == _YCBCR and page.compression not in _DECODER_CONVERTS):
        return Colour(3, np.dtype(np.uint8), from_ycbcr)
    dtype = page.dtype.newbyteorder("=")
    extra = page.extrasamples[-1] if page.extrasamples and n_pages == 1 else 0
    if extra in (_PREMULTIPLIED, _ALPHA):
        premultiplied = extra == _PREMULTIPLIED
        return Colour(n_samples - 1, dtype, lambda samples: over_white(samples, premultiplied=premultiplied))
    return Colour(n_samples, dtype, inverted if kind == _MINISWHITE and dtype.kind in "ub" else lambda samples: samples)
