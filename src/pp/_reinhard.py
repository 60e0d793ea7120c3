"""Reinhard's colour transfer on bare pixels: mean and spread of decorrelated colours, exchanged for others."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pixels = NDArray[np.uint8]

_LEAST_SPREAD = 1e-3
_EXPONENT = 20.0

_RGB_TO_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_LMS_TO_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1.0, 1, 1], [1, 1, -2], [1, -1, 0]])


def lab(pixels: Pixels) -> Array:
    """Ruderman's l, alpha, beta (n, 3) of pixels (n, 3), of one more than each cone's response: black is finite."""
    return np.log(pixels @ _RGB_TO_LMS.T + 1.0) @ _LMS_TO_LAB.T


def fit_reinhard(pixels: Pixels) -> tuple[Array, Array] | None:
    """Mean and standard deviation (3,) of l, alpha, beta of stained pixels (n, 3); None where they are of one colour."""
    values = lab(pixels)
    mean, std = values.mean(axis=0), values.std(axis=0)
    return (mean, std) if std.min() >= _LEAST_SPREAD else None


def transfer(source: tuple[Array, Array], target: tuple[Array, Array]) -> tuple[Array, Array]:
    """Matrix (3, 3) and shift (3,) from the logarithms of one image's cone responses to those of another."""
    back = np.linalg.inv(_LMS_TO_LAB)
    ratio = target[1] / source[1]
    return back @ np.diag(ratio) @ _LMS_TO_LAB, back @ (target[0] - source[0] * ratio)


def transferred(pixels: Pixels, matrix: Array, shift: Array) -> NDArray[np.float32]:
    """Colours (n, 3) after the transfer, not yet cut off at 0 and 255."""
    to_lms, to_rgb = _RGB_TO_LMS.T.astype(np.float32), np.linalg.inv(_RGB_TO_LMS).T.astype(np.float32)
    response: NDArray[np.float32] = pixels.astype(np.float32) @ to_lms
    response += 1
    np.log(response, out=response)
    response = response @ matrix.T.astype(np.float32)
    response += shift.astype(np.float32)
    np.exp(np.clip(response, -_EXPONENT, _EXPONENT, out=response), out=response)
    response -= 1
    return np.asarray(response @ to_rgb)
