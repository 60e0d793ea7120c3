"""Images in memory: numpy arrays."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._errors import ImageError
from ._pixels import over_white
from ._source import Level, Source, grid

_FEW = 4  # channels of a picture; no section has as few rows
_FIX = "Pass rows, columns and channels, such as uint8 (H, W, 3)."


class ArrayLevel(Level):
    """A numpy array (rows, columns, channels); one cell, never copied."""

    def __init__(self, pixels: NDArray) -> None:
        super().__init__((1.0, 1.0), grid(pixels.shape[1], pixels.shape[1]), grid(pixels.shape[0], pixels.shape[0]))
        self._pixels = pixels

    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        """Yield the array itself."""
        for cell in cells.tolist():
            yield cell, self._pixels


def open_array(array: Any, *, name: str = "array") -> Source:
    """Open an array (rows, columns) or (rows, columns, channels); four channels of uint8 are RGB and alpha."""
    stored = np.asarray(array)
    check_axes(name, stored.shape, stored.dtype)
    pixels = stored[..., None] if stored.ndim == 2 else stored
    if pixels.dtype == np.uint8 and pixels.shape[2] == 4:
        pixels = over_white(pixels)
    dtype = pixels.dtype.newbyteorder("=")
    return Source(name, [ArrayLevel(pixels)], pixels.shape[2], dtype, sha256=lambda: digest([stored]))


def check_axes(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse what is no image, and one whose channels may come first."""
    found = f"shape {shape}, {dtype}"
    if dtype.kind not in "uifb" or len(shape) not in (2, 3) or 0 in shape:
        raise ImageError(name, found=found, expected="an image of numbers", fix=_FIX)
    if len(shape) < 3 or shape[0] > _FEW or shape[1] <= _FEW:
        return
    if shape[2] > _FEW or shape[0] > 2:  # of (3, n, 3) either end may be the channels
        fix = "If channels come first, pass np.moveaxis(image, 0, -1)."
        expected = f"rows, columns, channels, with more than {_FEW} rows"
        raise ImageError(name, found=found, expected=expected, fix=fix)


def digest(parts: Iterable[NDArray]) -> str:
    """Hash of an image's bytes, rows first and channels last."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
