"""Colour, stain, texture and nuclei of a tile: the image encoder that needs no weights."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._encoder import Recipe, Tiles, check_tiles
from ._nuclei import nuclei
from ._stain import BACKGROUND, colour, optical_density, stain, unmix
from ._texture import gradient, local_pattern, texture

_Stats = dict[str, float]


@dataclass(frozen=True, kw_only=True)
class StainStats(Recipe):
    """Statistics of a tile that a pathologist would name; finite on blank, white and black tiles too.

    Colour (mean and spread, saturation), haematoxylin, eosin and residual stain (Ruifrok and Johnston 2001),
    co-occurrence of grey levels (Haralick 1973), local binary patterns (Ojala 2002), gradients, and nuclei found by
    Otsu's threshold on haematoxylin: number, area, eccentricity, density.
    """

    name: str = "stain_stats"
    version: int = 1

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its numbers."""
        return tuple(_describe(np.full((16, 16, 3), 255, dtype=np.uint8), self.mpp))

    def __call__(self, tiles: Tiles) -> NDArray[np.float32]:
        """Vectors (n, d) of 8-bit RGB tiles (n, height, width, 3)."""
        rows = [list(_describe(tile, self.mpp).values()) for tile in check_tiles(tiles)]
        return np.array(rows, dtype=np.float32).reshape(len(rows), len(self.features))


def _describe(tile: Tiles, mpp: float) -> _Stats:
    planes = np.ascontiguousarray(np.moveaxis(tile, 2, 0))  # 3 rows columns: sums over a last axis of 3 are slow
    red, green, blue = planes.astype(np.float32)
    grey, stains = (red + green + blue) / 3, unmix(planes)
    density = optical_density(planes)
    parts: list[_Stats] = [
        colour(planes, density),
        stain(stains),
        texture(grey),
        local_pattern(grey),
        gradient(grey, "grey"),
        gradient(stains[0], "h"),
        nuclei(stains[0], density > BACKGROUND, mpp),
    ]
    return {name: value for part in parts for name, value in part.items()}
