"""Sections of gene tokens in which a spot and its neighbours share genes: what the gene encoder trains on in tests."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from histoscribe._vocabulary import FIRST_GENE
from histoscribe.nn.genes._corpus import Corpus, Part, part_hash
from histoscribe.nn.genes._gene_encoder import GeneEncoder
from histoscribe.nn.genes._groups import GroupRows
from histoscribe.nn.genes._token_transformer import TokenTransformer

N_TOKENS, LENGTH = 90, 12


def rows(n: int = 80, *, seed: int = 0, alone: int = 0) -> GroupRows:
    """Spots 100 um apart in rows of ten, each in the ground of its half, of differing length; some far from all others."""
    rng = np.random.default_rng(seed)
    xy = 100.0 * np.column_stack([np.arange(n) % 10, np.arange(n) // 10])
    xy[:alone] += 1e5 * (1 + np.arange(alone))[:, None]
    weight = np.random.default_rng(99).gamma(0.5, size=(2, N_TOKENS - FIRST_GENE))
    share = weight / weight.sum(axis=1, keepdims=True)
    half, lengths = (xy[:, 0] % 1000 >= 500).astype(int), rng.integers(1, LENGTH + 1, n)
    drawn = [
        rng.choice(N_TOKENS - FIRST_GENE, k, replace=False, p=share[h]) for k, h in zip(lengths, half, strict=True)
    ]
    tokens, starts = FIRST_GENE + np.concatenate(drawn), np.concatenate([[0], np.cumsum(lengths)])
    part = Part(tokens, starts, xy, stops=(n,), pitches=(100.0,), sha256=part_hash(tokens, starts, xy))
    return GroupRows(Corpus([part]), np.ones(n, dtype=bool), size=4, max_extent_um=400.0)


def encoder(**options: Any) -> TokenTransformer:
    """Return a small one, the same each time."""
    torch.manual_seed(0)
    small = {"dim": 16, "depth": 1, "heads": 2, "hidden": 32, "n_tokens": LENGTH, "group_size": 4}
    return GeneEncoder(**{**small, "intrinsic_share": 0.4, **options}).build({"tokens": N_TOKENS})


def weights(module: torch.nn.Module) -> Tensor:
    """All of them, side by side."""
    return torch.cat([value.detach().flatten().double() for value in module.state_dict().values()])
