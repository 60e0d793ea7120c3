"""Pooling of patch tokens."""

from torch import Tensor
from torch.nn import functional as F

GRID = 3


def grid_pool(tokens: Tensor) -> Tensor:
    """Mean of the tokens of each cell of a 3 x 3 grid: (n, side * side, d) → (n, 9, d), row by row.

    Where the side is no multiple of three the windows overlap (14: 6 wide, every 4), so that all are of one size and
    no token is left out.
    """
    n, t, d = tokens.shape
    side = round(t**0.5)
    step = side // GRID
    square = tokens.transpose(1, 2).reshape(n, d, side, side)  # n (h w) d -> n d h w
    means = F.avg_pool2d(square, side - (GRID - 1) * step, step)  # n d 3 3
    return means.flatten(2).transpose(1, 2)
