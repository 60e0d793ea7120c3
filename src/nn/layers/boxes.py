"""Geometry of tiles."""

import torch
from torch import Tensor


def overlap(boxes: Tensor, section: Tensor) -> Tensor:
    """Share (n, n) of the smaller of two boxes that the other covers; 0 across sections and for unknown boxes.

    Parameters
    ----------
    boxes
        x, y, w, h (n, 4), in any one unit; NaN where unknown.
    section
        Section of each box (n,).
    """
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    sides = torch.minimum(high[:, None], high) - torch.maximum(low[:, None], low)  # n n 2
    area = boxes[:, 2] * boxes[:, 3]
    share = sides.clamp(min=0).prod(-1) / torch.minimum(area[:, None], area)
    return torch.where(section[:, None] == section, share, 0).nan_to_num(0.0)
