"""What decoders raise on broken files, told to the user as one kind of error that names the file."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager

from .._errors import HistoscribeError, ImageError

# tifffile and imagecodecs document no base class; this is what damaged headers and segments were seen to raise.
_DECODING = (ArithmeticError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError, struct.error)


@contextmanager
def decoding(name: str, what: str) -> Iterator[None]:
    """Turn any decoder's exception in the block into an ImageError about ``name``."""
    try:
        yield
    except HistoscribeError:
        raise
    except ImportError as error:
        fix = "Install it: pip install --upgrade imagecodecs."
        raise ImageError(name, found=f"{what} in a codec that is not installed ({error})", expected="a known codec", fix=fix) from error
    except _DECODING as error:
        raise broken(name, f"{what} that can't be decoded ({error})") from error


def broken(name: str, found: str) -> ImageError:
    """Error for a file whose content is damaged."""
    return ImageError(name, found=found, expected="a whole image", fix="Copy or download the file again.")
