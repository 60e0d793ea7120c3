"""Mean colour of a tile: three numbers, for tests and as the least of all baselines."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._encoder import Recipe, Tiles, check_tiles


@dataclass(frozen=True, kw_only=True)
class MeanRGB(Recipe):
    """Mean of red, green and blue, from 0 to 1."""

    name: str = "mean_rgb"
    version: int = 1

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its numbers."""
        return ("mean_r", "mean_g", "mean_b")

    def __call__(self, tiles: Tiles) -> NDArray[np.float32]:
        """Vectors (n, 3) of 8-bit RGB tiles (n, height, width, 3)."""
        return (check_tiles(tiles).mean(axis=(1, 2)) / 255).astype(np.float32)
