"""The network of the gene encoder: tokens in, states, losses and vectors out."""

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._vocabulary import PAD
from .._data import Batch, per_item
from ..layers.attention import Block
from ._masking import corrupt
from ._start import linear_embedding

Asked: TypeAlias = tuple[Tensor, Tensor]
"""Vectors (m, dim) that a head sees, and the genes (m,) or (m, k) that it is to name from them."""

_SCALES = tuple(2 ** (k / 2) for k in range(-14, 5))  # of a head's weights at the start: 1/128 to 4
_GENES_TO_SCALE, _ASKED_TO_SCALE = 1 << 17, 2048  # read and asked to find them: a few hundred megabytes at most


class TokenTransformer(nn.Module):
    """The module that :class:`histoscribe.nn.GeneEncoder` describes.

    A training batch holds ``tokens`` (b, g, l), the genes of b groups of g spots, the centre first and padding where a
    spot or gene is absent; ``spot`` (b, g), the number of each spot in the data; and ``seed`` (2,), seed and epoch.
    """

    def __init__(self, config: Any, n_tokens: int) -> None:
        super().__init__()
        self.config, self.n_tokens = config, n_tokens
        self.tokens = nn.Embedding(n_tokens, config.dim, padding_idx=PAD)
        self.ranks = nn.Parameter(torch.zeros(config.n_tokens, config.dim))
        blocks = [Block(config.dim, config.heads, config.hidden, config.dropout) for _ in range(config.depth)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(config.dim)
        self.intrinsic = nn.Linear(config.dim, n_tokens)
        self.contextual = nn.Linear(config.dim, n_tokens) if config.context else None
        self.context_waits = False
        self.apply(_start)
        nn.init.trunc_normal_(self.ranks, std=0.02)
        for block in blocks:
            block.start_as_identity()

    @torch.no_grad()
    def start(self, groups: Tensor, random_state: int) -> None:
        """Begin with the linear answer to the task, found from the tokens (b, g, l) of some groups."""
        context = self.config.context is not None
        found, share = linear_embedding(
            groups.numpy(), self.n_tokens, self.config.dim, context=context, random_state=random_state
        )
        vectors, known = torch.from_numpy(found), torch.from_numpy(share > 0)
        self.tokens.weight[known] = vectors[known]
        self.ranks.zero_()
        n_spots = int((groups != PAD).any(dim=2).sum())
        often = torch.from_numpy(np.log(np.maximum(share, 0.5 / max(n_spots, 1)))).float()
        for head, (seen, genes) in self._asked_at_start(groups):
            head.weight.copy_(vectors)
            head.bias.copy_(often)
            step = -(-len(seen) // _ASKED_TO_SCALE) or 1
            _scale(head, seen[::step], genes[::step])

    def _asked_at_start(self, groups: Tensor) -> Iterator[tuple[nn.Linear, Asked]]:
        """Yield each head and what it is asked; blocks add nothing yet, and are left out."""
        some = groups[: max(1, _GENES_TO_SCALE // groups[0].numel())]
        tokens = some.flatten(0, 1)
        hidden, chosen = self._corrupted(tokens, torch.arange(len(tokens)), (0, 0))
        yield self.intrinsic, (self.norm(self.tokens(hidden[chosen])), tokens[chosen])
        if self.contextual is not None:
            yield self.contextual, self._around(self.tokens(some), some)

    def begin_epoch(self, epoch: int, epochs: int) -> None:
        """Learn from the spot itself in the first epochs, and from its neighbours too in the others."""
        self.context_waits = epoch < round(self.config.intrinsic_share * epochs)

    def forward(self, tokens: Tensor) -> Tensor:
        """States (n, l, dim) of the genes of spots (n, l); each spot has one gene at least."""
        real = tokens != PAD
        mask = None if real.all() else real  # attention is quicker without one
        x = self.tokens(tokens) + self.ranks[: tokens.shape[1]]
        for block in self.blocks:
            x = block(x, mask)
        return x

    def embed(self, tokens: Tensor) -> Tensor:
        """Vectors (n, dim): the mean state of a spot's genes, normalised; zeros for a spot without any."""
        there = (tokens != PAD).any(dim=1)
        vectors = torch.zeros(len(tokens), self.config.dim, device=tokens.device)
        if there.any():
            genes = trimmed(tokens[there])
            vectors[there] = self.norm(pooled(self(genes), genes)).to(vectors.dtype)
        return vectors

    def n_rows(self, batch: Batch) -> int:
        """Count the spots of a batch."""
        return int((batch["tokens"] != PAD).any(dim=-1).sum())

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Cross-entropy of hidden genes (``igr``) and of genes seen from the neighbours of their spot (``context``)."""
        b, g, _ = batch["tokens"].shape
        tokens = trimmed(batch["tokens"].flatten(0, 1))
        there = (tokens != PAD).any(dim=1)
        hidden, chosen = self._corrupted(tokens, batch["spot"].flatten(), batch["seed"].tolist())
        held = self(hidden[there])
        # Only what is asked for passes the head: all positions at once would not fit into memory.
        losses = {"igr": surprise(self.intrinsic, self.norm(held[chosen[there]]), tokens[chosen])}
        if self.contextual is not None and self.training and self.context_waits:
            # Every parameter has a gradient in every step, or distributed training would wait for it.
            losses["loss"] = losses["igr"] + 0 * sum(p.sum() for p in self.contextual.parameters())
            return losses
        if self.contextual is not None:
            states = held.new_zeros(b * g, *held.shape[1:]).masked_scatter(there[:, None, None], held)
            seen, genes = self._around(states.unflatten(0, (b, g)), tokens.unflatten(0, (b, g)))
            losses["context"] = surprise(self.contextual, seen, genes)
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def _corrupted(self, tokens: Tensor, spots: Tensor, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
        share, n = self.config.mask_fraction, self.n_tokens
        return corrupt(tokens, spots, fraction=share, n_tokens=n, seed=seed)

    def _around(self, states: Tensor, tokens: Tensor) -> Asked:
        """Return what is seen of the neighbours, and the genes that are to be named from it."""
        return self._by_rank(states, tokens) if self.config.context == "cgr" else self._by_set(states, tokens)

    def _by_rank(self, states: Tensor, tokens: Tensor) -> Asked:
        """Ask for the centre's gene at each rank, from the mean state of its neighbours' genes at that rank."""
        real = (tokens[:, 1:] != PAD)[..., None]  # b g-1 l 1
        seen = real.sum(dim=1)
        mean = (states[:, 1:] * real).sum(dim=1) / seen.clamp(min=1)  # b l dim
        asked = (tokens[:, 0] != PAD) & (seen[..., 0] > 0)
        return self.norm(mean[asked]), tokens[:, 0][asked]

    def _by_set(self, states: Tensor, tokens: Tensor) -> Asked:
        """Ask for the first genes of each spot, in no order, from the mean vector of the others of its group."""
        there = (tokens != PAD).any(dim=2, keepdim=True).long()  # b g 1
        vectors = self.norm(pooled(states, tokens)) * there  # b g dim
        n_others = there.sum(dim=1, keepdim=True) - there
        mean = (vectors.sum(dim=1, keepdim=True) - vectors) / n_others.clamp(min=1)
        asked = (there * n_others)[..., 0] > 0
        if self.config.overlap:
            asked[:, 1:] = False  # each of them is the centre of a group of its own
        return mean[asked], tokens[..., : self.config.set_size][asked]


def surprise(head: nn.Linear, vectors: Tensor, genes: Tensor) -> Tensor:
    """Cross-entropy of naming genes from vectors (m, dim): one of each (m,), or several (m, k), padded; 0 for none."""
    logits = head(vectors).float()
    if genes.ndim == 1:
        return per_item(F.cross_entropy(logits, genes.long(), reduction="sum"), len(genes))
    real = genes != PAD
    named = logits.log_softmax(dim=-1).gather(1, genes.long())
    return per_item(-(named * real).sum(), real.sum())


def _scale(head: nn.Linear, vectors: Tensor, genes: Tensor) -> None:
    """Let a head be as sure of what it says as makes it right most often: a start that is too sure is unlearned first."""
    whole, losses = head.weight.clone(), []
    for scale in _SCALES:
        head.weight.copy_(scale * whole)
        losses.append(float(surprise(head, vectors, genes)))
    head.weight.copy_(_SCALES[int(np.argmin(losses))] * whole)


def pooled(states: Tensor, tokens: Tensor) -> Tensor:
    """Mean state (..., dim) of the genes that are there (..., l)."""
    real = (tokens != PAD)[..., None]
    return (states * real).sum(dim=-2) / real.sum(dim=-2).clamp(min=1)


def trimmed(tokens: Tensor) -> Tensor:
    """Tokens (n, l) without the columns that only pad."""
    longest = int((tokens != PAD).sum(dim=1).max()) if len(tokens) else 0
    return tokens[:, : max(longest, 1)]


def _start(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.xavier_normal_(module.weight)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
        with torch.no_grad():
            module.weight[PAD].zero_()
