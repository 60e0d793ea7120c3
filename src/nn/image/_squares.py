"""What the squares of a tile do to a number that depends on its vector."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..._progress import progress
from ._encoder import Tiles
from ._exact import full_float32

_AT_ONCE = 64  # tiles


class Squares:
    """A tile in squares, ``n`` a side.

    Parameters
    ----------
    encoder
        What makes a vector of the tile.
    tile
        The tile (h, w, 3), 8-bit RGB.
    n
        Squares a side; where the side is no multiple of it, they differ by a pixel.
    """

    def __init__(self, encoder: Any, tile: NDArray[np.uint8], n: int) -> None:
        self.encoder, self.tile, self.n = encoder, tile, n
        self._rows, self._columns = (np.linspace(0, side, n + 1).round().astype(int) for side in tile.shape[:2])

    @cached_property
    def whole(self) -> Tensor:
        """Vector (d,) of the tile."""
        return self._encoded(self.tile[None])[0]

    @cached_property
    def without(self) -> Tensor:
        """Vectors (n n, d) of the tile with each of its squares, row by row, in the tile's mean colour."""
        found, total = [], self.n**2
        with progress(desc="occluding", total=total, unit="tile") as bar:
            for start in range(0, total, _AT_ONCE):
                some = range(start, min(start + _AT_ONCE, total))
                found.append(self._encoded(np.stack([self._occluded(k) for k in some])))
                bar.update(len(some))
        return torch.cat(found)

    def slopes(self, score: Callable[[Tensor], Tensor]) -> Tensor:
        """Sum over each square (n n,) of gradient times pixel less mean colour, of a score (1,) of vectors (1, d).

        Needs an encoder that gradients pass, and normalised pixels count, as the network reads them.
        """
        with torch.enable_grad(), full_float32():
            pixels = self.encoder.pixels(self.tile[None]).requires_grad_()  # 1 3 h w
            (gradient,) = torch.autograd.grad(score(self.encoder.embed(pixels)).sum(), pixels)
        x = pixels.detach()
        products = (gradient * (x - x.mean(dim=(2, 3), keepdim=True))).sum(dim=1)[0].double().cpu()  # h w
        sums = np.add.reduceat(products.numpy(), self._rows[:-1], axis=0)
        return torch.from_numpy(np.add.reduceat(sums, self._columns[:-1], axis=1).ravel())

    def _occluded(self, k: int) -> Tiles:
        row, column = divmod(k, self.n)
        tile = self.tile.copy()
        place = slice(*self._rows[row : row + 2]), slice(*self._columns[column : column + 2])
        tile[place] = np.rint(self.tile.mean(axis=(0, 1)))
        return tile

    def _encoded(self, tiles: Tiles) -> Tensor:
        return torch.from_numpy(np.array(self.encoder(tiles), dtype=np.float32))
