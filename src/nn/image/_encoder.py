"""What an image encoder is."""

import hashlib
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..._errors import ImageError

Tiles = NDArray[np.uint8]


class Encoder(Protocol):
    """Turns tiles into vectors. Encoders with weights, and those of users, look the same from outside."""

    @property
    def name(self) -> str:
        """Public name."""
        ...

    @property
    def size(self) -> int:
        """Side of its input, pixels."""
        ...

    @property
    def mpp(self) -> float:
        """Scale that it was made for, um per pixel of its input."""
        ...

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its numbers."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of weights, or of name and version where there are none."""
        ...

    def __call__(self, tiles: Any) -> NDArray[np.float32]:
        """Vectors (n, d) of 8-bit RGB tiles (n, size, size, 3)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An encoder without weights: what its hash says is its name, its version and its numbers."""

    name: str
    version: int
    size: int = 224
    mpp: float = 0.5

    @property
    def features(self) -> tuple[str, ...]:
        """Names of its numbers."""
        raise NotImplementedError

    @property
    def sha256(self) -> str:
        """Hash of name, version, input and the names of its numbers."""
        described = f"{self.name} {self.version} {self.size} {self.mpp} {self.features}"
        return hashlib.sha256(described.encode()).hexdigest()


def check_tiles(tiles: Any) -> Tiles:
    """Refuse what is not a batch of 8-bit RGB tiles."""
    tiles = np.asarray(tiles)
    if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8:
        raise ImageError(
            "tiles",
            found=f"shape {tiles.shape}, {tiles.dtype}",
            expected="8-bit RGB (n, height, width, 3)",
            fix="Scale the channels that stand for red, green and blue to 0-255 and pass that image as uint8.",
        )
    return tiles
