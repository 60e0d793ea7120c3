"""The network of the gene encoder: tokens in, states, losses and vectors out."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._vocabulary import PAD
from .._data import Batch, per_item
from ..layers.attention import Block
from ._masking import corrupt
from ._start import linear_embedding


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
        vectors, seen = torch.from_numpy(found), torch.from_numpy(share > 0)
        self.tokens.weight[seen] = vectors[seen]
        self.ranks.zero_()
        often = torch.from_numpy(np.log(np.maximum(share, share[share > 0].min(initial=1.0)))).float()
        for head in (self.intrinsic, self.contextual):
            if head is not None:
                head.weight.copy_(vectors)
                head.bias.copy_(often)

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
        """Cross-entropy of hidden genes (``igr``) and of the centre's genes seen from its neighbours (``context``)."""
        b, g, _ = batch["tokens"].shape
        tokens = trimmed(batch["tokens"].flatten(0, 1))
        there = (tokens != PAD).any(dim=1)
        hidden, chosen = corrupt(
            tokens,
            batch["spot"].flatten(),
            fraction=self.config.mask_fraction,
            n_tokens=self.n_tokens,
            seed=batch["seed"].tolist(),
        )
        held = self(hidden[there])
        losses = {"igr": self._name(self.intrinsic, held[chosen[there]], tokens[chosen])}
        if self.contextual is not None and self.training and self.context_waits:
            # Every parameter has a gradient in every step, or distributed training would wait for it.
            losses["loss"] = losses["igr"] + 0 * sum(p.sum() for p in self.contextual.parameters())
            return losses
        if self.contextual is not None:
            states = held.new_zeros(b * g, *held.shape[1:]).masked_scatter(there[:, None, None], held)
            seen = self._by_rank if self.config.context == "cgr" else self._by_set
            losses["context"] = seen(self.contextual, states.unflatten(0, (b, g)), tokens.unflatten(0, (b, g)))
        return {"loss": torch.stack(list(losses.values())).sum(), **losses}

    def _name(self, head: nn.Linear, states: Tensor, genes: Tensor) -> Tensor:
        """Cross-entropy of naming genes (m,) from states (m, dim); zero where there are none."""
        # Only what is asked for passes the head: all positions at once would not fit into memory.
        total = F.cross_entropy(head(self.norm(states)).float(), genes.long(), reduction="sum")
        return per_item(total, len(genes))

    def _by_rank(self, head: nn.Linear, states: Tensor, tokens: Tensor) -> Tensor:
        """Name the centre's gene at each rank from the mean state of its neighbours' genes at that rank."""
        real = (tokens[:, 1:] != PAD)[..., None]  # b g-1 l 1
        seen = real.sum(dim=1)
        mean = (states[:, 1:] * real).sum(dim=1) / seen.clamp(min=1)  # b l dim
        asked = (tokens[:, 0] != PAD) & (seen[..., 0] > 0)
        return self._name(head, mean[asked], tokens[:, 0][asked])

    def _by_set(self, head: nn.Linear, states: Tensor, tokens: Tensor) -> Tensor:
        """Name the centre's first genes, in no order, from the mean vector of its neighbours."""
        there = (tokens[:, 1:] != PAD).any(dim=2, keepdim=True)  # b g-1 1
        vectors = self.norm(pooled(states[:, 1:], tokens[:, 1:]))  # b g-1 dim
        mean = (vectors * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)
        first = tokens[:, 0, : self.config.set_size]
        asked = (first != PAD) & there.any(dim=1)
        named = head(mean).float().log_softmax(dim=-1).gather(1, first.long())
        return per_item(-(named * asked).sum(), asked.sum())


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
