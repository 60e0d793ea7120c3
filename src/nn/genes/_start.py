"""What the gene encoder knows before its first step: the linear answer to what it is about to learn."""

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray

from ..._vocabulary import PAD

_ROUNDS, _SPARE = 12, 16


def linear_embedding(
    tokens: NDArray[np.integer], n_tokens: int, dim: int, *, context: bool, random_state: int
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Embed genes so that those stand near each other that stand together in spots, or in neighbouring spots.

    A spot is the set of its genes, each weighted by the root of its rarity, less the mean spot. The vectors are the
    leading eigenvectors of how genes go together within spots, or, with ``context``, between the spots of a group: what
    differs from spot to spot without a pattern in the tissue is no part of these. A network of one layer that was trained
    on the same task would end there (Levy and Goldberg 2014).

    Parameters
    ----------
    tokens
        Gene tokens (b, g, l) of groups of neighbours.
    n_tokens
        Number of token ids.
    dim
        Width of the vectors.
    context
        Whether the neighbours count, or the spot itself.
    random_state
        Seed of the solver.

    Returns
    -------
    Vectors (n_tokens, dim), of mean square 1 / dim, zero beyond the patterns that there are; and the share of spots that
    each token is found in.
    """
    together = GoTogether(tokens, n_tokens, context=context)
    seen = int((together.share > 0).sum())
    n = min(dim, seen - 1, int(together.there.sum()) - 1)
    vectors = np.zeros((n_tokens, dim), dtype=np.float32)
    if n < 1:
        return vectors, together.share
    found = leading(together, n_tokens, n, random_state) * together.weight[:, None]
    vectors[:, :n] = found / max(np.sqrt((found[together.share > 0] ** 2).sum(axis=1).mean()), np.finfo(float).tiny)
    return vectors, together.share


def leading(product: "GoTogether", n_tokens: int, n: int, random_state: int) -> NDArray[np.float64]:
    """Leading eigenvectors (n_tokens, n) of a symmetric matrix, scaled by the roots of their values; negative ones by 0.

    By subspace iteration, on tensors of our own: ARPACK's last digits depend on where in memory its arrays happen to lie.
    """
    generator = torch.Generator().manual_seed(random_state)
    basis = torch.randn(n_tokens, min(n + _SPARE, n_tokens), generator=generator, dtype=torch.float64)
    for _ in range(_ROUNDS):
        basis = torch.linalg.qr(torch.tensor(product(basis.numpy()))).Q
    values, turned = torch.linalg.eigh(basis.T @ torch.tensor(product(basis.numpy())))
    values, found = values.flip(0)[:n], (basis @ turned.flip(1))[:, :n]
    largest = found.abs().argmax(dim=0)
    found = found * found[largest, torch.arange(n)].sign()  # either sign solves it
    return (found * values.clamp(min=0).sqrt()).numpy()


class GoTogether:
    """How genes go together, as a product with a vector: the matrix itself would be as wide as the vocabulary.

    Parameters
    ----------
    tokens
        Gene tokens (b, g, l).
    n_tokens
        Number of token ids.
    context
        Whether genes of different spots of a group are paired, or those of the same spot.
    """

    def __init__(self, tokens: NDArray[np.integer], n_tokens: int, *, context: bool) -> None:
        b, g, l = tokens.shape
        self.size, self.context = g, context
        row, at = np.nonzero(tokens.reshape(b * g, l) != PAD)
        column = tokens.reshape(b * g, l)[row, at]
        self.held = sp.csr_matrix((np.ones(len(row)), (row, column)), shape=(b * g, n_tokens))
        self.there = self.held.getnnz(axis=1) > 0
        self.share: NDArray[np.float64] = np.asarray(self.held.sum(axis=0)).ravel() / max(self.there.sum(), 1)
        self.weight = np.where(self.share > 0, 1 / np.sqrt(np.maximum(self.share, 1e-12)), 0)

    def __call__(self, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
        """Multiply vectors (n_tokens, c) by the matrix."""
        weighted = self.weight[:, None] * vectors
        spots = (self.held @ weighted - self._mean(weighted)) * self.there[:, None]
        if self.context:
            groups = spots.reshape(-1, self.size, spots.shape[1])
            others = self.there.reshape(-1, self.size, 1).sum(axis=1, keepdims=True) - 1
            spots = (groups.sum(axis=1, keepdims=True) - groups) / np.maximum(others, 1)
            spots = spots.reshape(-1, vectors.shape[1]) * self.there[:, None]
        return self.weight[:, None] * (self.held.T @ spots - self.share[:, None] * spots.sum(axis=0))

    def _mean(self, weighted: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(sp.csr_matrix(self.share) @ weighted)
