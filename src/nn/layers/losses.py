"""Losses: one function each, a few lines, with its paper."""

import torch
from torch import Tensor
from torch.nn import functional as F

from .._data import rank_and_world
from .gather import gather_rows

MAX_SCALE = 100.0


def info_nce(
    a: Tensor,
    b: Tensor,
    log_scale: Tensor,
    *,
    no_negative: Tensor | None = None,
    both_ways: bool = True,
    gather: bool = False,
) -> Tensor:
    """Contrastive loss: row i of ``a`` and row i of ``b`` are a pair, other rows are negatives.

    Oord et al. 2018 (arXiv:1807.03748); symmetric and with a learned scale as in Radford et al. 2021 (CLIP).

    Parameters
    ----------
    a, b
        L2-normalised vectors (n, d).
    log_scale
        Logarithm of the inverse temperature; the scale is held at 100 or less.
    no_negative
        Pairs (n, N), True where rows i and j are no negatives of each other; a row's own pair does not matter.
    both_ways
        Whether rows of ``b`` look for those of ``a`` too, or those of ``a`` alone for those of ``b``.
    gather
        Whether the rows of all processes of a distributed run are negatives, N of them; else those of this one, n.
    """
    first = rank_and_world()[0] * len(a) if gather else 0
    target = first + torch.arange(len(a), device=a.device)

    def one_way(x: Tensor, y: Tensor) -> Tensor:
        logits = scale(log_scale) * x @ (gather_rows(y) if gather else y).T  # n N
        if no_negative is not None:
            own = torch.arange(logits.shape[1], device=a.device) == target[:, None]
            logits = logits.masked_fill(no_negative & ~own, float("-inf"))
        return F.cross_entropy(logits, target)

    return (one_way(a, b) + one_way(b, a)) / 2 if both_ways else one_way(a, b)


def placing(cells: Tensor, part: Tensor, cell: Tensor, log_scale: Tensor) -> Tensor:
    """Which of the cells (n, k, d) of a region each part (n, d) was cut from: cross-entropy; -1 says nothing of it."""
    cosine = torch.einsum("nkd,nd->nk", F.normalize(cells, dim=-1), F.normalize(part, dim=-1))
    if not (cell >= 0).any():
        return 0 * cosine.sum()
    return F.cross_entropy(scale(log_scale) * cosine, cell, ignore_index=-1)


def scale(log_scale: Tensor) -> Tensor:
    """Inverse temperature, held at 100."""
    return log_scale.exp().clamp(max=MAX_SCALE)
