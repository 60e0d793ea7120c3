"""Texture and gradient statistics of one tile."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import sobel
from skimage.feature import graycomatrix, graycoprops, local_binary_pattern

Plane = NDArray[np.floating]
_LEVELS = 16
_DISTANCES = (1, 4)  # pixels: within chromatin, and across a nucleus
_PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
_POINTS = 8


def texture(grey: Plane) -> dict[str, float]:
    """Co-occurrence of 16 grey levels at two distances, averaged over four directions."""
    levels = (grey * (_LEVELS / 256)).astype(np.uint8)
    angles = np.arange(4) * np.pi / 4
    pairs = graycomatrix(levels, _DISTANCES, angles, levels=_LEVELS, symmetric=True, normed=True)
    stats: dict[str, float] = {}
    for name in _PROPERTIES:
        values = graycoprops(pairs, name).mean(axis=1)
        stats |= {f"glcm_{name}_{d}": float(value) for d, value in zip(_DISTANCES, values, strict=True)}
    return stats


def local_pattern(grey: Plane) -> dict[str, float]:
    """Shares of the uniform local binary patterns, at half resolution."""
    half = grey[: len(grey) // 2 * 2, : grey.shape[1] // 2 * 2]
    half = (half[::2, ::2] + half[1::2, ::2] + half[::2, 1::2] + half[1::2, 1::2]) / 4
    codes = local_binary_pattern(half.round().astype(np.uint8), _POINTS, 1, method="uniform").astype(np.intp)
    shares = np.bincount(codes.ravel(), minlength=_POINTS + 2) / codes.size
    return {f"lbp_{k}": float(share) for k, share in enumerate(shares)}


def gradient(plane: Plane, name: str) -> dict[str, float]:
    """Mean and spread of the gradient's length."""
    length = np.hypot(sobel(plane, axis=0), sobel(plane, axis=1)) / 8
    return {f"gradient_{name}_mean": float(length.mean()), f"gradient_{name}_std": float(length.std())}
