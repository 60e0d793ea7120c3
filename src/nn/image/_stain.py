"""Colour and stain statistics of one tile."""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from skimage.color import hed_from_rgb

from ._encoder import Tiles

BACKGROUND = 0.1  # optical density below which a pixel is glass
_STAINS = ("h", "e", "res")
_STEP = 2  # quantiles from every second pixel each way: a third of the time, the same within 0.01


@cache
def _density() -> NDArray[np.float32]:
    """Optical density of each of the 256 grey values."""
    return -np.log10(np.maximum(np.arange(256), 1) / 255).astype(np.float32)


def unmix(planes: Tiles) -> NDArray[np.float32]:
    """Density of haematoxylin, eosin and residual (3, rows, columns) of red, green and blue planes.

    As :func:`skimage.color.rgb2hed` up to a factor, but with decimal optical density from a table, negatives kept.
    """
    density = np.take(_density(), planes).reshape(3, -1)
    return (hed_from_rgb.T.astype(np.float32) @ density).reshape(planes.shape)


def optical_density(planes: Tiles) -> NDArray[np.float32]:
    """Mean of the three channels' optical density (rows, columns)."""
    red, green, blue = np.take(_density(), planes)
    return (red + green + blue) / 3


def colour(planes: Tiles, density: NDArray[np.float32]) -> dict[str, float]:
    """Mean and spread of each channel, saturation, and how much of the tile is tissue."""
    stats: dict[str, float] = {}
    for name, plane in zip("rgb", planes, strict=True):
        stats |= {f"mean_{name}": float(plane.mean()) / 255, f"std_{name}": float(plane.std(dtype=np.float32)) / 255}
    red, green, blue = planes
    high, low = np.maximum(np.maximum(red, green), blue), np.minimum(np.minimum(red, green), blue)
    saturation = (high - low) / np.maximum(high, 1).astype(np.float32)
    return stats | {
        "saturation_mean": float(saturation.mean()),
        "saturation_std": float(saturation.std()),
        "density_mean": float(density.mean()),
        "density_std": float(density.std()),
        "tissue_fraction": float((density > BACKGROUND).mean()),
    }


def stain(stains: NDArray[np.float32]) -> dict[str, float]:
    """Mean, spread and quantiles of each stain, and how haematoxylin and eosin go together."""
    stats: dict[str, float] = {}
    for name, plane in zip(_STAINS, stains, strict=True):
        low, middle, high = np.quantile(plane[::_STEP, ::_STEP], (0.1, 0.5, 0.9))
        values = {"mean": plane.mean(), "std": plane.std(), "p10": low, "p50": middle, "p90": high}
        stats |= {f"{name}_{key}": float(value) for key, value in values.items()}
    h, e = (plane - plane.mean() for plane in stains[:2])
    scale = float(h.std() * e.std())
    return stats | {"h_e_correlation": float((h * e).mean()) / scale if scale > 1e-8 else 0.0}
