"""Tissue against background, on a small picture of a slide."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import gaussian, threshold_otsu
from skimage.morphology import isotropic_closing, isotropic_dilation, isotropic_opening

from .image import SlideImage
from .image._kind import check_rgb

MASK_PX = 2000

_BLACK = 25  # scanners and annotators paint missing background black; no stain is that dark all over
_LEAST_STAINED = 0.03  # below it, Otsu divides the noise of an empty slide
_SURELY_STAINED = 0.15  # no glass is that coloured; above it, Otsu divides the tissue of a picture full of it
_INK_GREEN, _INK_BLUE = 0.18, 0.4  # more than bluish haematoxylin lacks red


def section_tissue(image: SlideImage, max_size: int = MASK_PX) -> tuple[NDArray[np.bool_], float]:
    """Mask of the tissue of a whole bright-field image, and its pixels per pixel of the image's frame."""
    check_rgb(image, grey=True)
    picture, per_pixel = image.thumbnail(max_size)
    return tissue_mask_of(picture), per_pixel


def tissue_mask_of(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Mask of stained tissue: Otsu's threshold on colourfulness, within bounds, cleaned morphologically.

    Parameters
    ----------
    rgb
        Picture (rows, columns, 3), 8 bit; some 500 to 2000 pixels on the long side. Fewer channels than three are
        read as grey, where darkness stands in for colour.

    Returns
    -------
    Mask (rows, columns), True on tissue. Black painted background is no tissue, nor are green, blue and black pen;
    red pen can't be told from blood. Of an empty slide nothing is tissue, of a picture without glass nearly all.
    """
    pixels = np.atleast_3d(rgb)
    grey = pixels.shape[2] < 3
    colour = np.repeat(pixels[..., :1], 3, axis=2) if grey else pixels[..., :3]
    excluded = _painted(colour) | _ink(colour)
    stained = _stain(colour, grey=grey)
    threshold = _threshold(stained[~excluded], grey=grey)
    if threshold is None:
        return np.zeros(excluded.shape, dtype=bool)
    return _cleaned((stained > threshold) & ~excluded) & ~excluded


def _threshold(seen: NDArray[np.float64], *, grey: bool) -> float | None:
    """Least amount of stain; None where there is none, or nothing to tell it from."""
    most = np.inf if grey else _SURELY_STAINED  # grey glass can be as dark as tissue
    if seen.size == 0 or seen.max() <= _LEAST_STAINED:
        return None
    if seen.max() - seen.min() < _LEAST_STAINED:
        return most if seen.min() > most else None
    return float(np.clip(threshold_otsu(seen), _LEAST_STAINED, most))


def _painted(colour: NDArray[np.uint8]) -> NDArray[np.bool_]:
    black = colour.max(axis=2) < _BLACK
    return isotropic_opening(black, 3) if black.any() else black  # dark nuclei are smaller than that


def _ink(colour: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Green and blue pen: colours that lack more red than haematoxylin does."""
    red, green, blue = np.moveaxis(colour.astype(np.int16), 2, 0)
    inked = green - red > 255 * _INK_GREEN
    inked |= (green > red) & (blue - red > 255 * _INK_BLUE)
    return isotropic_dilation(isotropic_opening(inked, 1), 3) if inked.any() else inked  # with the pale rim


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
