"""How alike image and genes of a spot are in a fusion model's joint space, and what that comes of."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Protocol

import torch
from torch import Tensor

_AT_ONCE = 4096  # vectors


class Parts(Protocol):
    """What a vector is made of, part by part."""

    @property
    def whole(self) -> Tensor:
        """The vector (d,)."""
        ...

    @property
    def without(self) -> Tensor:
        """Vectors (k, d) without each part."""
        ...

    def slopes(self, score: Callable[[Tensor], Tensor]) -> Tensor:
        """Gradient of a score times each part (k,)."""
        ...


def pairs_of(module: Any) -> Any:
    """Return the part of a :class:`histoscribe.nn.Contrastive` module that brings vectors into the joint space."""
    return getattr(module, "pairs", module)  # of one that learned from pixels; else it is all there is


class Joint:
    """The way of image and gene vectors into the joint space, on the CPU and in float64: a gene's part is small.

    Parameters
    ----------
    module
        Module of a :class:`histoscribe.nn.Contrastive` model; it is left as it is.
    """

    def __init__(self, module: Any) -> None:
        pairs = pairs_of(module)
        self.image, self.genes = (
            deepcopy(branch).cpu().double().eval().requires_grad_(requires_grad=False)
            for branch in (pairs.image, pairs.genes)
        )

    def cosine(self, image: Tensor, genes: Tensor) -> Tensor:
        """Cosines (n,) of image vectors (n, d) and gene vectors (n, d'); there may be one of either."""
        return (self.image(image.cpu().double()) * self.genes(genes.cpu().double())).sum(dim=-1)

    def attributed(self, image: Parts, genes: Parts, method: str) -> tuple[Tensor, Tensor]:
        """Tell what each part of the image, and each part of the genes, adds to the cosine."""
        way = drops if method == "occlusion" else _slopes
        v, x = image.whole[None], genes.whole[None]
        return way(image, lambda some: self.cosine(some, x)), way(genes, lambda some: self.cosine(v, some))


def drops(parts: Parts, score: Callable[[Tensor], Tensor]) -> Tensor:
    """How far a score (k,) falls without each part; a part that the vector does not depend on has exactly 0."""
    with torch.no_grad():
        left = [score(some) for some in parts.without.split(_AT_ONCE)]
        found: Tensor = score(parts.whole[None]) - torch.cat(left)
    return found.masked_fill((parts.without == parts.whole).all(dim=1), 0.0)


def _slopes(parts: Parts, score: Callable[[Tensor], Tensor]) -> Tensor:
    return parts.slopes(score)
