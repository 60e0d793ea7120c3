"""Losses: one function each, a few lines, with its paper."""

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_SCALE = 100.0


def info_nce(a: Tensor, b: Tensor, log_scale: Tensor, *, no_negative: Tensor | None = None) -> Tensor:
    """Symmetric contrastive loss: row i of ``a`` and row i of ``b`` are a pair, other rows are negatives.

    Oord et al. 2018 (arXiv:1807.03748); symmetric and with a learned scale as in Radford et al. 2021 (CLIP).

    Parameters
    ----------
    a, b
        L2-normalised vectors (n, d).
    log_scale
        Logarithm of the inverse temperature; the scale is held at 100 or less.
    no_negative
        Pairs (n, n), True where row j is no negative of row i; the diagonal does not matter.
    """
    logits = log_scale.exp().clamp(max=MAX_SCALE) * a @ b.T  # n n
    target = torch.arange(len(a), device=a.device)
    if no_negative is not None:
        others = no_negative & (target[:, None] != target)
        logits = logits.masked_fill(others, float("-inf"))
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
