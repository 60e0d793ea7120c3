"""What decoders raise on broken files, told to the user as one kind of error that names the file."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from PIL import Image

from ..._errors import HistoscribeError, ImageError

# tifffile and imagecodecs document no base class; this is what damaged headers and segments were seen to raise.
_DECODING = (
    ArithmeticError,
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
_TO_PYRAMID = "Convert it to a tiled pyramid, e.g.: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg."


@contextmanager
def decoding(name: str, what: str) -> Iterator[None]:
    """Turn any decoder's exception in the block into an ImageError about ``name``."""
    try:
        yield
    except HistoscribeError:
        raise
    except ImportError as error:
        found = f"{what} in a codec that is not installed ({error})"
        fix = "Install it: pip install --upgrade imagecodecs. Else: vips tiffsave IN OUT.tif --compression jpeg --tile."
        raise ImageError(name, found=found, expected="a known codec", fix=fix) from error
    except _DECODING as error:
        raise broken(name, f"{what} that can't be decoded ({error})") from error


def known_codec(look_up: Callable[[], Any]) -> None:
    """Raise an ImportError where tifffile knows no decoder: that of imagecodecs is missing, or nobody's is known."""
    try:
        look_up()
    except KeyError as error:
        raise ImportError(str(error.args[0])) from error


def broken(name: str, found: str) -> ImageError:
    """Error for a file whose content is damaged."""
    fix = "Copy or download the file again; if it opens elsewhere, its codec may need a newer imagecodecs."
    return ImageError(name, found=found, expected="a whole image", fix=fix)


def check_size(name: str, n_pixels: int) -> None:
    """Refuse to decode at once what Pillow would not: a decompression bomb, or a slide that should be tiled."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and n_pixels > 2 * limit:  # Pillow warns from the limit on, and refuses from twice of it
        raise too_large(name, f"{n_pixels / 1e6:.0f} megapixels in one piece")


def too_large(name: str, found: str) -> ImageError:
    """Error for an image that would have to be decoded as a whole, and is too large for that."""
    return ImageError(name, found=found, expected="tiles, or a smaller image", fix=_TO_PYRAMID)
