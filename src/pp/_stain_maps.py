"""Local stain statistics all over a picture of the tissue, to be looked up at any place."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from ..io._tissue import tissue_mask_of

Floats = NDArray[np.float64]

_SIGMAS = (0.25, 0.5, 1.0)  # in pitches: the spot itself, its surroundings, the region
_SPREAD_BELOW = 0.6  # spread is taken at the finer scales: farther out it is the edge of the tissue
_CELLS = 10  # of the maps, to a pitch
_GRAIN = 8  # windows for texture to a pitch: about the size of a nucleus' surroundings


@dataclass(frozen=True)
class StainMaps:
    """Features of the tissue on a grid.

    Attributes
    ----------
    values
        (rows, columns, features).
    cell
        Side of a cell of the grid, in the unit of positions.
    tissue
        Share of each cell that is tissue (rows, columns).
    """

    values: NDArray[np.float32]
    cell: float
    tissue: NDArray[np.float32]

    def at(self, xy: Floats) -> Floats:
        """Features (n, features) at positions (n, 2); outside the picture those of its border."""
        return _look_up(self.values, xy / self.cell)

    def tissue_at(self, xy: Floats) -> Floats:
        """Share of tissue (n,) at positions (n, 2); none outside the picture."""
        inside = ((xy >= 0) & (xy <= self.cell * np.array(self.tissue.shape[::-1]))).all(axis=1)
        return np.where(inside, _look_up(self.tissue[..., None], xy / self.cell)[:, 0], 0.0)


def stain_maps(pixels: NDArray[np.uint8], scale: float, pitch: float) -> StainMaps:
    """Mean and spread of optical density, its texture and the tissue, at several scales.

    Parameters
    ----------
    pixels
        Picture (rows, columns, 3).
    scale
        Its pixels per unit of positions.
    pitch
        Distance between neighbouring spots, in units of positions.
    """
    step = pitch * scale  # pixels
    density = -np.log10(np.maximum(pixels, 1).astype(np.float32) / 255).transpose(2, 0, 1)
    window = max(2, round(step / _GRAIN))
    grain = [_spread(one, uniform_filter(one, window), window) for one in (density[0], density[2])]
    factor = max(1, round(step / _CELLS))
    tissue = _pooled(tissue_mask_of(pixels).astype(np.float32), factor)
    means = [_pooled(one, factor) for one in (*density, *grain)] + [tissue]
    squares = [_pooled(one * one, factor) for one in density]
    maps: list[NDArray[np.float32]] = []
    for sigma in _SIGMAS:
        smooth = [_smoothed(one, sigma * step / factor) for one in means]
        maps += smooth
        if sigma < _SPREAD_BELOW:
            around = [_smoothed(one, sigma * step / factor) for one in squares]
            maps += [np.sqrt((q - m * m).clip(0)) for q, m in zip(around, smooth, strict=False)]
    return StainMaps(np.stack(maps, axis=-1).astype(np.float32), factor / scale, tissue)


def _spread(values: NDArray[np.float32], mean: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    return np.sqrt((uniform_filter(values * values, window) - mean * mean).clip(0))


def _pooled(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Mean over squares of pixels; what the last ones lack is filled with the border."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % factor), (0, -width % factor)), mode="edge")
    return padded.reshape(padded.shape[0] // factor, factor, -1, factor).mean(axis=(1, 3))


def _smoothed(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return gaussian_filter(values, sigma, mode="nearest")


def _look_up(values: NDArray[np.float32], places: Floats) -> Floats:
    """Bilinear between the centres of cells; beyond the last ones, their values."""
    most = np.array(values.shape[1::-1]) - 1.0
    at = np.clip(places - 0.5, 0, most)
    corner = np.minimum(at.astype(np.int64), np.maximum(most.astype(np.int64) - 1, 0))
    (column, row), (u, v) = corner.T, (at - corner).T[..., None]
    right, below = np.minimum(column + 1, int(most[0])), np.minimum(row + 1, int(most[1]))
    above = values[row, column] * (1 - u) + values[row, right] * u
    return (1 - v) * above + v * (values[below, column] * (1 - u) + values[below, right] * u)
