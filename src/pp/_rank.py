"""Genes of each spot, ranked: counts in, tokens out. Nothing here knows AnnData."""

from typing import Literal, TypeAlias

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from .._jit import in_threads, plain_csr
from .._vocabulary import FIRST_GENE, PAD
from ._rank_kernel import MEAN, RESIDUAL, fill_keys, write_tokens

Rank: TypeAlias = Literal["mean", "residual", "section"]
RANKS: dict[str, int] = {"mean": MEAN, "residual": RESIDUAL, "section": RESIDUAL}
_KEYS_AT_ONCE = 1 << 18  # keys of a block: they stay in the cache


def rank_tokens(
    counts: sp.csr_matrix,
    position: NDArray[np.int64],
    weights: NDArray[np.float64],
    n_tokens: int,
    *,
    rank: Rank = "mean",
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.float64]]:
    """Tokens (n, n_tokens) of counts (n, g), the gene that ranks first in front; and what they cover.

    Beside the tokens come the counts of each spot (n, 2): in all genes, and in those with a position.

    Genes with equal values stand by count, then by their place in the vocabulary. The scale of a spot cancels in the
    rank, so no normalised copy is made.

    Parameters
    ----------
    counts
        Raw counts.
    position
        Vocabulary position of each column, -1 for a gene outside it; no position twice.
    weights
        By vocabulary position: the mean expression for ``"mean"``, else the share of all counts.
    n_tokens
        Tokens kept per spot.
    rank
        ``"mean"``: count over mean. Else the Pearson residual of the count.
    """
    dtype = np.uint16 if FIRST_GENE + len(weights) <= np.iinfo(np.uint16).max + 1 else np.uint32
    tokens = np.full((counts.shape[0], n_tokens), PAD, dtype=dtype)
    counts, kind, bits = plain_csr(counts), RANKS[rank], len(weights).bit_length()
    sums = np.zeros((counts.shape[0], 2))
    csr = (counts.data, counts.indices, counts.indptr)
    lengths = np.diff(counts.indptr)

    def work(rows: NDArray[np.int64]) -> None:
        keys = np.empty((len(rows), int(lengths[rows[-1]])), dtype=np.uint64)
        filled = np.empty(len(rows), dtype=np.int64)
        fill_keys(*csr, rows, position, weights, kind, bits, keys, filled, sums)
        keys.sort(axis=1)
        write_tokens(*csr, rows, position, weights, kind, bits, keys, filled, FIRST_GENE, tokens)

    in_threads(work, _blocks(lengths))
    return tokens, sums


def _blocks(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of similar length together, so that little of a block's rectangle of keys is empty."""
    order = np.argsort(lengths, kind="stable")
    blocks, start = [], 0
    while start < len(order):
        guess = max(1, _KEYS_AT_ONCE // max(1, int(lengths[order[start]])))
        longest = int(lengths[order[min(start + guess, len(order)) - 1]])
        stop = start + max(1, min(guess, _KEYS_AT_ONCE // max(1, longest)))
        blocks.append(order[start:stop])
        start = stop
    return blocks
