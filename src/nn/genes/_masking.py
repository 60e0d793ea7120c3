"""Which tokens are hidden from the gene encoder: a function of seed, epoch, spot and position, and of nothing else."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..._vocabulary import FIRST_GENE, MASK, PAD

_HIDDEN, _SWAPPED = 0.8, 0.9  # of the chosen tokens: 80 % MASK, 10 % another gene, 10 % as they are
# Constants of SplitMix64 (Steele, Lea and Flood 2014), as signed integers: torch has no unsigned arithmetic.
_STEP, _MIX1, _MIX2 = -7046029254386353131, -4658895280553007687, -7723592293110705685


def corrupt(
    tokens: Tensor, spots: Tensor, *, fraction: float, n_tokens: int, seed: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Hide a share of each spot's tokens.

    The same spot is hidden in the same way wherever it stands in a batch, on whichever device and process.

    Parameters
    ----------
    tokens
        Token ids (n, l).
    spots
        Number of each spot (n,), unique over all data.
    fraction
        Share of tokens that is chosen, one by one.
    n_tokens
        Number of token ids.
    seed
        Seed and epoch.

    Returns
    -------
    The tokens with the chosen ones hidden, and which were chosen (n, l), never padding.
    """
    chosen, way, gene = (uniform(spots, tokens.shape[1], [*seed, stream]) for stream in range(3))
    selected = (chosen < fraction) & (tokens != PAD)
    other = FIRST_GENE + (gene * (n_tokens - FIRST_GENE)).long()
    hidden = torch.where(way < _HIDDEN, MASK, torch.where(way < _SWAPPED, other, tokens))
    return torch.where(selected, hidden, tokens), selected


def uniform(rows: Tensor, length: int, seed: Sequence[int]) -> Tensor:
    """Numbers (n, length) in [0, 1), float64, that depend on the number of the row, the column and the seed."""
    state = torch.zeros_like(rows, dtype=torch.int64)
    for number in seed:
        state = _mix(state + number)
    columns = torch.arange(length, device=rows.device)
    mixed = _mix(_mix(state + rows)[:, None] + columns)
    return _shifted(mixed, 11).double() / 2**53


def _mix(x: Tensor) -> Tensor:
    x = x + _STEP
    x = (x ^ _shifted(x, 30)) * _MIX1
    x = (x ^ _shifted(x, 27)) * _MIX2
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """Shift right and fill with zeros, as for an unsigned number."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
