"""Many small boxes from few encoder tiles: each box is the mean of the patch tokens that it covers."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

_Ints = NDArray[np.intp]
_EPSILON = 1e-9  # of a token: what rounding leaves over a border is no overlap


@dataclass(frozen=True)
class Lattice:
    """Encoder tiles laid side by side.

    They begin at the image's upper left corner, so that a box's vector does not depend on which others are asked for.

    Parameters
    ----------
    side
        Side of an encoder tile, pixels of the frame.
    pitch
        Side of a patch token, pixels of the frame.
    n
        Tokens along the side of a tile.
    """

    side: float
    pitch: float
    n: int

    @property
    def step(self) -> float:
        """Distance of neighbouring tiles: what their tokens cover."""
        return self.n * self.pitch

    def order(self, boxes: NDArray[np.float64]) -> _Ints:
        """Order of boxes by the last tile that they need, row by row."""
        x, y = boxes[:, 0], boxes[:, 1]
        right, bottom = (np.floor((boxes[:, k] + boxes[:, k + 2]) / self.step) for k in (0, 1))
        return np.lexsort((boxes[:, 3], boxes[:, 2], x, y, right, bottom))


class DenseTiles:
    """The tiles that cover boxes, and how their tokens add up to the boxes' vectors.

    Parameters
    ----------
    lattice
        How tiles and tokens lie.
    boxes
        x, y, w, h (n, 4), in pixels of the frame.
    """

    def __init__(self, lattice: Lattice, boxes: NDArray[np.float64]) -> None:
        self._lattice = lattice
        self._start = boxes[:, :2] / lattice.pitch  # in tokens
        self._stop = (boxes[:, :2] + boxes[:, 2:]) / lattice.pitch
        self._first = np.floor(self._start + _EPSILON).astype(np.intp)
        self._end = np.maximum(np.ceil(self._stop - _EPSILON).astype(np.intp), self._first + 1)
        box, tile = _pairs(self._first // lattice.n, (self._end - 1) // lattice.n)
        self._tiles, number = np.unique(tile[:, ::-1], axis=0, return_inverse=True)  # rows of tiles from the top
        order = np.argsort(number, kind="stable")
        self._box = box[order]
        self._span = np.searchsorted(number[order], np.arange(len(self._tiles) + 1))
        self._left = np.bincount(box, minlength=len(boxes))

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes (m, 4) of the tiles to encode, in pixels of the frame."""
        corners = self._tiles[:, ::-1] * self._lattice.step
        return np.column_stack([corners, np.full((len(corners), 2), self._lattice.side)])

    def spread(self, tiles: _Ints, tokens: NDArray[np.float32]) -> tuple[_Ints, NDArray[np.float32], _Ints]:
        """Share the tokens (k, n, n, d) of some tiles out among the boxes.

        Returns
        -------
        Boxes that they touch, what to add to the vector of each, and the boxes that are complete by this.
        """
        parts = [self._box[self._span[tile] : self._span[tile + 1]] for tile in tiles.tolist()]
        box, of = np.concatenate(parts), np.repeat(np.arange(len(tiles)), [len(part) for part in parts])
        touched, row = np.unique(box, return_inverse=True)
        weights = self._weights(box, row, of, tiles)
        values = weights @ tokens.reshape(weights.shape[1], -1)
        self._left[touched] -= np.bincount(row)
        return touched, np.asarray(values, dtype=np.float32), touched[self._left[touched] == 0]

    def _weights(self, box: _Ints, row: _Ints, of: _Ints, tiles: _Ints) -> sp.csr_matrix:
        """Share of each touched box (rows) that lies on each token of the tiles (columns)."""
        n = self._lattice.n
        corner = self._tiles[tiles][of][:, ::-1] * n
        first, end = np.maximum(self._first[box], corner), np.minimum(self._end[box], corner + n)
        pair, token = _pairs(first, end - 1)
        start, stop = self._start[box[pair]], self._stop[box[pair]]
        along = np.clip((np.minimum(stop, token + 1) - np.maximum(start, token)) / (stop - start), 0, 1)
        x, y = (token - corner[pair]).T
        column = (of[pair] * n + y) * n + x
        share = along.prod(axis=1).astype(np.float32)
        return sp.csr_matrix((share, (row[pair], column)), shape=(int(row.max()) + 1, len(tiles) * n * n))


def _pairs(first: _Ints, last: _Ints) -> tuple[_Ints, _Ints]:
    """List all whole-numbered places (x, y) from ``first`` to ``last`` (n, 2), and the row that each belongs to."""
    size = last - first + 1
    count = size.prod(axis=1)
    row = np.repeat(np.arange(len(first)), count)
    k = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    down, across = np.divmod(k, size[row, 0])
    return row, first[row] + np.column_stack([across, down])
