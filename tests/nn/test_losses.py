import math

import numpy as np
import pytest
import torch

from histoscribe.nn.layers import info_nce


def _units(seed: int, n: int = 7, d: int = 4) -> torch.Tensor:
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, d)))
    return x / x.norm(dim=1, keepdim=True)


@pytest.mark.parametrize("masked", [False, True])
def test_info_nce_is_that_of_a_loop(masked: bool) -> None:
    a, b, scale = _units(0), _units(1), 5.0
    n = len(a)
    mask = np.random.default_rng(2).random((n, n)) < 0.4 if masked else np.zeros((n, n), dtype=bool)
    mask |= mask.T
    total = 0.0
    for i in range(n):
        ab = {j: math.exp(scale * float(a[i] @ b[j])) for j in range(n) if j == i or not mask[i, j]}
        ba = {j: math.exp(scale * float(b[i] @ a[j])) for j in range(n) if j == i or not mask[j, i]}
        total -= math.log(ab[i] / sum(ab.values())) + math.log(ba[i] / sum(ba.values()))
    no_negative = torch.from_numpy(mask) if masked else None
    found = info_nce(a, b, torch.tensor(math.log(scale)), no_negative=no_negative)
    assert float(found) == pytest.approx(total / (2 * n))


def test_scale_is_held_at_100() -> None:
    a, b = _units(0), _units(1)
    assert info_nce(a, b, torch.tensor(9.0)) == info_nce(a, b, torch.tensor(math.log(100.0)).double())


def test_masking_all_negatives_leaves_nothing_to_learn() -> None:
    a = _units(0)
    everything = torch.ones(len(a), len(a), dtype=torch.bool)
    assert float(info_nce(a, _units(1), torch.tensor(1.0), no_negative=everything)) == 0
