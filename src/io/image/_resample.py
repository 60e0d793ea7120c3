"""Patches cut from an image with sub-pixel accuracy."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_MODES = {1: "L", 3: "RGB"}  # what Pillow resamples in one go at 8 bits


def windows_of(boxes: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole pixels (n, 4: left, top, right, bottom) that the outputs of ``boxes`` depend on.

    Parameters
    ----------
    boxes
        Left, top, right and bottom (n, 4), pixels.
    sizes
        Columns and rows of each output (n, 2).
    """
    step = (boxes[:, 2:] - boxes[:, :2]) / sizes
    # The antialiasing triangle reaches one output pixel to either side, and never less than one pixel.
    reach = np.where(_is_crop(boxes, sizes)[:, None], 0, np.maximum(step, 1))
    return np.hstack([np.floor(boxes[:, :2] - reach), np.ceil(boxes[:, 2:] + reach)]).astype(np.int64)


def resample(window: NDArray, box: NDArray[np.float64], size: NDArray[np.int64]) -> NDArray:
    """Output (rows, columns, channels) of a box given in pixels of ``window``; antialiased, bilinear."""
    columns, rows = (int(length) for length in size)
    if _is_crop(box[None], size[None])[0]:
        left, top = (int(corner) for corner in box[:2])
        return window[top : top + rows, left : left + columns]

    within = np.clip(box, 0, np.tile(window.shape[1::-1], 2)).tolist()  # Pillow allows no rounding error

    def resized(pixels: NDArray) -> NDArray:
        image = Image.fromarray(np.ascontiguousarray(pixels))
        return np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR, box=within))

    n_channels = window.shape[2]
    if window.dtype == np.uint8 and n_channels in _MODES:
        return resized(window[..., 0] if n_channels == 1 else window).reshape(rows, columns, n_channels)
    planes = [resized(window[..., channel].astype(np.float32)) for channel in range(n_channels)]
    return _as_type(np.stack(planes, axis=-1), window.dtype)


def _is_crop(boxes: NDArray[np.float64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
    whole = (boxes == np.rint(boxes)).all(axis=1)
    return whole & (boxes[:, 2:] - boxes[:, :2] == sizes).all(axis=1)


def _as_type(values: NDArray[np.float32], dtype: np.dtype) -> NDArray:
    if dtype.kind == "f":
        return values.astype(dtype, copy=False)
    if dtype.kind == "b":
        return values >= 0.5
    limits = np.iinfo(dtype)
    return np.rint(values.astype(np.float64)).clip(limits.min, limits.max).astype(dtype)
