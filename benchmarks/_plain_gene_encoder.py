"""Plain ways of a gene encoder's work, written from what is known of the public code of reference 002: sizes, steps and order.

A loop over torch's own layers on padded rows with a key padding mask; heads that name the gene at every position, with labels
that are ignored; neighbourhoods by ordering all spots by their distance from each seed (by one sort, which here is quicker than
the index of all spots that is asked for all of them).
"""

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

PAD, IGNORED = 0, -100


class PlainEncoder(nn.Module):
    """Layers of torch with normalisation after each step, on padded rows."""

    def __init__(self, dim: int, depth: int, heads: int, hidden: int, n_tokens: int, length: int) -> None:
        super().__init__()
        self.tokens, self.ranks = nn.Embedding(n_tokens, dim, padding_idx=PAD), nn.Embedding(length, dim)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(dim, heads, hidden, dropout=0.0, layer_norm_eps=1e-12, batch_first=True)
            for _ in range(depth)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """States (n, l, dim), those of padding included."""
        x = self.tokens(tokens) + self.ranks(torch.arange(tokens.shape[1], device=tokens.device))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=tokens == PAD)
        return x


def one_by_one(module: nn.Module, tokens: Tensor) -> Tensor:
    """Vectors of our own module, a spot at a time, its attention written out: what batches must not change."""
    vectors = []
    for spot in tokens:
        x = module.tokens(spot[spot != PAD])
        x = x + module.ranks[: len(x)]
        for block in module.blocks:
            x = x + _attended(block, block.norm1(x))
            x = x + block.mlp(block.norm2(x))
        vectors.append(module.norm(x.mean(dim=0)))
    return torch.stack(vectors)


def _attended(block: nn.Module, x: Tensor) -> Tensor:
    parts = [part.unflatten(1, (block.heads, -1)).transpose(0, 1) for part in block.qkv(x).chunk(3, dim=1)]
    queries, keys, values = parts  # each heads l d/heads
    weights = (queries @ keys.transpose(1, 2) / queries.shape[2] ** 0.5).softmax(dim=2)
    return block.out((weights @ values).transpose(0, 1).flatten(1))


def all_positions(module: nn.Module, states: Tensor, tokens: Tensor, chosen: Tensor) -> Tensor:
    """Loss of a group (g, l, dim), its centre first: logits of every position, and labels that are ignored.

    The mean of the neighbours' states counts only those that are there, as ours does, so that the losses can be compared.
    """
    norm, intrinsic, contextual = module.norm, module.intrinsic, module.contextual
    labels = torch.where(chosen, tokens, IGNORED)
    named = intrinsic(norm(states))
    igr = F.cross_entropy(named.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    real = (tokens[1:] != PAD)[..., None]
    mean = (states[1:] * real).sum(dim=0) / real.sum(dim=0).clamp(min=1)
    asked = (tokens[0] != PAD) & real.any(dim=0)[:, 0]
    labels = torch.where(asked, tokens[0], IGNORED)
    return igr + F.cross_entropy(contextual(norm(mean)), labels, ignore_index=IGNORED)


def greedy_batches(xy: np.ndarray, size: int, extent: float) -> list[np.ndarray]:
    """Make groups of near spots: pop a seed, order all spots by their distance from it, take the nearest free ones."""
    free, groups = set(range(len(xy))), []
    while len(free) >= size:
        seed = free.pop()
        group = [seed]
        for other in np.argsort(((xy - xy[seed]) ** 2).sum(axis=1)):
            if other in free:
                group.append(int(other))
                if len(group) == size:
                    break
        free.difference_update(group)
        groups.append(_central_first(xy, np.array(group)))
    return [group for group in groups if _distances(xy[group]).max() <= extent]


def _central_first(xy: np.ndarray, group: np.ndarray) -> np.ndarray:
    centre = _distances(xy[group]).mean(axis=1).argmin()
    return np.concatenate([group[[centre]], np.delete(group, centre)])


def _distances(xy: np.ndarray) -> np.ndarray:
    return np.linalg.norm(xy[:, None] - xy, axis=2)


def exponent(sizes: list[int], seconds: list[float]) -> list[float]:
    """Power of the size that the time grows by, from each size to the next."""
    pairs = zip(pairwise(sizes), pairwise(seconds), strict=True)
    return [float(np.log(t2 / t1) / np.log(n2 / n1)) for (n1, n2), (t1, t2) in pairs]
