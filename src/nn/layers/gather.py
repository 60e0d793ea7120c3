"""Rows of all processes of a distributed run, with gradients."""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from .._data import rank_and_world


class _Gather(torch.autograd.Function):
    """Rows of all processes; each gets back the gradient that its own rows have in all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        rank, world = rank_and_world()
        ctx.rows = slice(rank * len(x), (rank + 1) * len(x))
        parts = [torch.empty_like(x) for _ in range(world)]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        whole = grads[0].contiguous()
        dist.all_reduce(whole)
        return whole[ctx.rows]


def gather_rows(x: Tensor) -> Tensor:
    """Rows of all processes, in their order; all must call it with as many rows. With one process, the rows themselves."""
    if rank_and_world()[1] == 1:
        return x
    if not x.is_floating_point():
        parts = [torch.empty_like(x) for _ in range(rank_and_world()[1])]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)
    gathered: Tensor = _Gather.apply(x)
    return gathered
