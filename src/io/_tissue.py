"""Tissue against background, on a small picture of a slide."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import isotropic_closing, isotropic_opening

_BLACK = 25  # scanners and annotators paint missing background black; no stain is that dark all over
_LEAST_SATURATION = 0.03  # below it, Otsu divides the noise of an empty slide


def tissue_mask_of(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mask of stained tissue: Otsu's threshold on colour saturation, cleaned morphologically.

    Parameters
    ----------
    rgb
        Picture (rows, columns, 3), 8 bit; some 500 to 2000 pixels on the long side. Fewer channels than three are
        read as grey, where darkness stands in for saturation.

    Returns
    -------
    Mask (rows, columns), True on tissue. Black painted background is no tissue; of an empty slide nothing is.
    """
    pixels = np.atleast_3d(rgb)
    colour = np.repeat(pixels[..., :1], 3, axis=2) if pixels.shape[2] < 3 else pixels[..., :3]
    painted = colour.max(axis=2) < _BLACK
    painted = isotropic_opening(painted, 3)  # dark nuclei are smaller than that
    stained = _stain(colour, grey=pixels.shape[2] < 3)
    seen = stained[~painted]
    if seen.size == 0 or seen.max() - seen.min() < _LEAST_SATURATION:
        return np.zeros(painted.shape, dtype=bool)
    mask = (stained > max(threshold_otsu(seen), _LEAST_SATURATION)) & ~painted
    return _cleaned(mask) & ~painted


def _stain(colour: NDArray[np.uint8], *, grey: bool) -> NDArray[np.float64]:
    values = colour.astype(np.float64) / 255
    # Chroma rather than HSV's saturation, which explodes in dark pixels.
    amount = 1 - values.mean(axis=2) if grey else values.max(axis=2) - values.min(axis=2)
    return gaussian(amount, sigma=1)


def _cleaned(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    radius = max(1, round(max(mask.shape) / 500))
    mask = isotropic_opening(isotropic_closing(mask, 2 * radius), radius)
    speck = max(16, mask.size // 2000)
    return ~_without_specks(~_without_specks(mask, speck), speck)


def _without_specks(mask: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    pieces, _ = ndimage.label(mask)
    large = np.bincount(pieces.ravel()) >= least
    large[0] = False
    return large[pieces]
