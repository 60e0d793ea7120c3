"""Geometry of tiles."""

import torch
from torch import Tensor

from .gather import gather_rows


def overlap(boxes: Tensor, section: Tensor, *, gather: bool = False) -> Tensor:
    """Share (n, N) of the smaller of two boxes that the other covers; 0 across sections and for unknown boxes.

    Parameters
    ----------
    boxes
        x, y, w, h (n, 4), in any one unit; NaN where unknown.
    section
        Section of each box (n,).
    gather
        Whether the other boxes are those of all processes of a distributed run; else these.
    """
    others, elsewhere = (gather_rows(x) if gather else x for x in (boxes, section))
    low, high = (
        (boxes[:, None, :2], others[:, :2]),
        (boxes[:, None, :2] + boxes[:, None, 2:], others[:, :2] + others[:, 2:]),
    )
    sides = torch.minimum(*high) - torch.maximum(*low)  # n N 2
    area = torch.minimum(boxes[:, 2:].prod(-1)[:, None], others[:, 2:].prod(-1))
    share = sides.clamp(min=0).prod(-1) / area
    return torch.where(section[:, None] == elsewhere, share, 0).nan_to_num(0.0)


def around(boxes: Tensor, times: float) -> Tensor:
    """Boxes (n, 4) that are some times wider and higher, around the same centres."""
    sides = boxes[:, 2:] * times
    return torch.cat([boxes[:, :2] + boxes[:, 2:] / 2 - sides / 2, sides], dim=1)
