"""Macenko's stain separation on bare pixels: fit two stain vectors, exchange them for others."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.color import rgb_from_hed

Array = NDArray[np.float64]
Pixels = NDArray[Any]

STAINED = 0.15  # mean optical density (natural logarithm) from which a pixel counts as stained: Macenko's beta
_ANGLE = 1.0  # per cent of pixels beyond either stain's angle: Macenko's alpha
_MOST = 99.0  # percentile that stands for the largest amount of a stain: single pixels are dust
_LEAST_AMOUNT = 0.1
_FARTHEST, _CLOSEST = 45.0, 5.0  # degrees: from the known vectors, and of the two from each other
_EXPONENT = 25.0  # three of them stay finite as 32-bit floats

_KNOWN = rgb_from_hed[:2].T / np.linalg.norm(rgb_from_hed[:2], axis=1)  # Ruifrok and Johnston 2001: columns H, E


def density(pixels: Pixels, background: ArrayLike) -> Array:
    """Optical density (n, 3) of pixels (n, 3), 0 where they are as bright as the background."""
    return np.log(np.asarray(background) + 1.0) - np.log(pixels + 1.0)


def mean_density(pixels: Pixels, background: ArrayLike) -> NDArray[np.float32]:
    """Mean of the three channels' optical density (n,)."""
    third = np.full(3, 1 / 3, dtype=np.float32)
    return np.float32(np.log(np.asarray(background) + 1.0).mean()) - np.log(pixels + np.float32(1)) @ third


def fit_macenko(pixels: Pixels, background: ArrayLike) -> tuple[Array, Array] | None:
    """Stain vectors (3, 2), haematoxylin and eosin, and the 99th percentile of either's amount.

    Parameters
    ----------
    pixels
        Stained pixels (n, 3).
    background
        Red, green and blue of unstained glass.

    Returns
    -------
    Unit vectors of optical density and amounts; None where the pixels do not hold two stains like these.
    """
    od = density(pixels, background)
    matrix = _extremes(od)
    if matrix is None:
        return None
    matrix = _ordered(matrix)
    angles = _degrees((matrix * _KNOWN).sum(axis=0))
    apart = _degrees(matrix[:, 0] @ matrix[:, 1])
    if angles.max() > _FARTHEST or apart < _CLOSEST:
        return None
    amounts = np.percentile(od @ np.linalg.pinv(matrix).T, _MOST, axis=0)
    return (matrix, amounts) if amounts.min() >= _LEAST_AMOUNT else None


def _extremes(od: Array) -> Array | None:
    """Directions in the plane of the two largest components beyond which hardly any pixel lies."""
    _, vectors = np.linalg.eigh(od.T @ od)
    plane = vectors[:, [2, 1]]
    ahead = np.where(od.mean(axis=0) @ plane < 0, -1.0, 1.0)  # else angles straddle the cut at 180 degrees
    plane = plane * ahead
    x, y = (od @ plane).T
    angle = np.percentile(np.arctan2(y, x), [_ANGLE, 100 - _ANGLE])
    extremes = plane @ np.stack([np.cos(angle), np.sin(angle)])
    return extremes if np.isfinite(extremes).all() else None


def _ordered(vectors: Array) -> Array:
    """Haematoxylin first, both pointing to more density."""
    first = int(np.argmax(np.abs(vectors.T @ _KNOWN[:, 0])))
    ordered = vectors[:, [first, 1 - first]]
    return ordered * np.where((ordered * _KNOWN).sum(axis=0) < 0, -1.0, 1.0)


def _degrees(cosine: Array) -> Array:
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def exchange(source: Array, target: Array, ratio: Array) -> Array:
    """Matrix (3, 3) that turns densities of one pair of stains into those of another.

    Parameters
    ----------
    source, target
        Stain vectors (3, 2).
    ratio
        Factor on the amount of either stain (2,). What is neither is carried over as it is.
    """
    return _completed(target) @ np.diag([*ratio, 1.0]) @ np.linalg.inv(_completed(source))


def _completed(vectors: Array) -> Array:
    third = np.cross(vectors[:, 0], vectors[:, 1])
    return np.column_stack([vectors, third / np.linalg.norm(third)])


def exchange_tables(matrix: Array, background: ArrayLike, target: ArrayLike) -> NDArray[np.float32]:
    """Tables (3, 256, 4): the product of the rows of a pixel's red, green and blue is its new colour plus one.

    For exp(-matrix @ density) is a product over channels, each of which has 256 values only. The last column is idle:
    rows of 16 bytes are looked up faster.
    """
    od = density(np.repeat(np.arange(256)[:, None], 3, axis=1), background)
    tables = np.ones((3, 256, 4))
    tables[..., :3] = np.exp(np.clip(-od.T[:, :, None] * matrix.T[:, None, :], -_EXPONENT, _EXPONENT))
    tables[0, :, :3] *= np.asarray(target) + 1.0
    return tables.astype(np.float32)


def exchanged(pixels: Pixels, tables: NDArray[np.float32]) -> NDArray[np.float32]:
    """Colours (n, 3) of pixels (n, 3) by these tables, not yet cut off at 0 and 255."""
    product = tables[0].take(pixels[:, 0], axis=0)
    product *= tables[1].take(pixels[:, 1], axis=0)
    product *= tables[2].take(pixels[:, 2], axis=0)
    return product[:, :3] - np.float32(1)
