"""Images in memory: numpy arrays."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._errors import ImageError
from ._pixels import over_white
from ._source import Level, Source, grid

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
    _check_array(stored, name)
    pixels = stored[..., None] if stored.ndim == 2 else stored
    if pixels.dtype == np.uint8 and pixels.shape[2] == 4:
        pixels = over_white(pixels)
    dtype = pixels.dtype.newbyteorder("=")
    return Source(name, [ArrayLevel(pixels)], pixels.shape[2], dtype, sha256=lambda: digest([stored]))


def _check_array(array: NDArray, name: str) -> None:
    found = f"shape {array.shape}, {array.dtype}"
    if array.dtype.kind not in "uifb" or array.ndim not in (2, 3) or not array.size:
        raise ImageError(name, found=found, expected="an image of numbers", fix=_FIX)
    if array.ndim == 3 and array.shape[0] <= 4 < array.shape[2]:
        fix = "If channels come first, pass np.moveaxis(image, 0, -1)."
        raise ImageError(name, found=found, expected="rows, columns, channels", fix=fix)


def digest(parts: Iterable[NDArray]) -> str:
    """Hash of an image's bytes, rows first and channels last."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()
