"""What the genes of a spot do to a number that depends on its vector."""

from collections.abc import Callable
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from ..image._exact import arithmetic, full_float32

MOST_REMOVED = 128  # tokens, the first ones
_AT_ONCE = 1 << 14  # tokens of a batch

Score = Callable[[Tensor], Tensor]
"""Numbers (k,) of gene vectors (k, d)."""


def slope(score: Score, vector: Tensor) -> Tensor:
    """Gradient (d,) of a score at a vector (d,)."""
    with torch.enable_grad():
        at = vector.detach().double().requires_grad_()
        (found,) = torch.autograd.grad(score(at[None]).sum(), at)
    return found


class LinearParts:
    """Genes that a spot's vector is a sum of, each times a vector of its own.

    Parameters
    ----------
    whole
        Vector (d,) of the spot.
    weights
        Vectors (d, g) of the genes.
    deviation
        The spot's value of each gene (g,), less the training mean.
    """

    def __init__(self, whole: Tensor, weights: Tensor, deviation: Tensor) -> None:
        self.whole, self.weights, self.deviation = whole.double(), weights.double(), deviation.double()

    @cached_property
    def without(self) -> Tensor:
        """Vectors (g, d) of the spot with each gene at its training mean."""
        return self.whole - (self.weights * self.deviation).T

    def slopes(self, score: Score) -> Tensor:
        """Gradient of a score times deviation, of each gene (g,)."""
        return (slope(score, self.whole) @ self.weights) * self.deviation


class TokenParts:
    """Genes that a spot's vector is made of by a transformer.

    Parameters
    ----------
    module
        The transformer.
    tokens
        The spot's tokens (l,), without padding.
    whole
        Vector (d,) of the spot. What it differs by from the transformer's own, as the mean of a section that was
        subtracted, is taken as it is.
    """

    def __init__(self, module: Any, tokens: Tensor, whole: Tensor) -> None:
        self.module, self.tokens, self.whole = module.eval(), tokens, whole.double()
        self.offset = self.whole - self._embedded(tokens[None])[0]

    @classmethod
    def of(cls, module: Any, tokens: Tensor) -> "TokenParts":
        """Take a spot's vector as the transformer makes it."""
        with torch.no_grad():
            return cls(module, tokens, module.eval().embed(tokens[None].to(module.ranks.device))[0].cpu())

    @property
    def n_removed(self) -> int:
        """How many tokens, from the first on, are removed in turn; a spot keeps one at least."""
        return min(len(self.tokens), MOST_REMOVED) if len(self.tokens) > 1 else 0

    @cached_property
    def without(self) -> Tensor:
        """Vectors (k, d) of the spot without its first gene, without its second, ...: those behind move up a rank."""
        n = len(self.tokens)
        kept = torch.arange(n - 1).expand(self.n_removed, -1)  # k l-1
        kept = kept + (kept >= torch.arange(self.n_removed)[:, None])
        at_once = max(1, _AT_ONCE // max(n, 1))
        found = [self._embedded(self.tokens[rows]) for rows in kept.split(at_once)]
        return torch.cat([self.whole.new_zeros(0, len(self.whole)), *found]) + self.offset

    def slopes(self, score: Score) -> Tensor:
        """Gradient of a score by each token's embedding, dotted with it (l,)."""
        held: list[Tensor] = []

        def leaf(_: Any, __: Any, out: Tensor) -> Tensor:
            held.append(out.detach().requires_grad_())
            return held[-1]

        handle = self.module.tokens.register_forward_hook(leaf)
        try:
            with torch.enable_grad(), full_float32():
                vector = self.module.embed(self.tokens[None].to(self.device))
                found = score(vector.double().cpu() + self.offset).sum()
                (gradient,) = torch.autograd.grad(found, held[0])
        finally:
            handle.remove()
        return (gradient * held[0]).sum(dim=-1)[0].detach().double().cpu()

    def _embedded(self, tokens: Tensor) -> Tensor:
        with arithmetic("32", self.device):
            found = self.module.embed(tokens.to(self.device)).double().cpu()
        return found.clone()  # of the ordinary kind, not of inference

    @property
    def device(self) -> torch.device:
        """Where the transformer is."""
        device: torch.device = self.module.ranks.device
        return device
