import numpy as np
import pytest
import torch
from scipy import stats

from histoscribe._vocabulary import FIRST_GENE, MASK, PAD
from histoscribe.nn.genes._masking import corrupt, uniform

N_TOKENS = 530


def _splitmix(x: int) -> int:
    """SplitMix64 with Python's integers."""
    mask = (1 << 64) - 1
    x = (x + 0x9E3779B97F4A7C15) & mask
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & mask
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & mask
    return x ^ (x >> 31)


def _tokens(n: int, length: int) -> torch.Tensor:
    tokens = torch.from_numpy(np.random.default_rng(0).integers(FIRST_GENE, N_TOKENS, (n, length)))
    tokens[:, length // 2 :][::2] = PAD
    return tokens


def test_numbers_are_those_of_splitmix64() -> None:
    rows = torch.tensor([0, 7, 2**40])
    found = uniform(rows, 4, [3, 5])
    for i, row in enumerate(rows.tolist()):
        state = _splitmix(_splitmix(_splitmix(3) + 5) + row)
        assert [(_splitmix(state + j) >> 11) / 2**53 for j in range(4)] == found[i].tolist()


def test_numbers_are_uniform_and_rows_independent() -> None:
    u = uniform(torch.arange(400), 300, [0, 1]).numpy()
    assert stats.kstest(u.ravel(), "uniform").pvalue > 0.01
    assert np.abs(np.corrcoef(u[:30]) - np.eye(30)).max() < 0.25
    assert np.abs(np.corrcoef(u.T[:30]) - np.eye(30)).max() < 0.25


def test_eighty_ten_ten() -> None:
    tokens = _tokens(600, 400)
    hidden, chosen = corrupt(tokens, torch.arange(600), fraction=0.15, n_tokens=N_TOKENS, seed=[0, 0])
    real = tokens != PAD
    assert not (chosen & ~real).any()
    assert torch.equal(hidden[~chosen], tokens[~chosen])
    n = int(chosen.sum())
    assert n / int(real.sum()) == pytest.approx(0.15, abs=4 * (0.15 * 0.85 / int(real.sum())) ** 0.5)
    masked, same = (hidden == MASK)[chosen].float().mean(), (hidden == tokens)[chosen].float().mean()
    assert masked.item() == pytest.approx(0.8, abs=4 * (0.16 / n) ** 0.5)
    assert same.item() == pytest.approx(0.1 + 0.1 / 500, abs=4 * (0.09 / n) ** 0.5)
    swapped = hidden[chosen & (hidden != MASK) & (hidden != tokens)]
    assert swapped.min() >= FIRST_GENE
    assert stats.chisquare(np.bincount(swapped - FIRST_GENE, minlength=500)).pvalue > 0.01


def test_a_spot_is_hidden_alike_wherever_it_stands() -> None:
    tokens, spots = _tokens(20, 50), torch.arange(100, 120)
    whole = corrupt(tokens, spots, fraction=0.3, n_tokens=N_TOKENS, seed=[1, 2])
    part = corrupt(tokens[[5, 3], :40], spots[[5, 3]], fraction=0.3, n_tokens=N_TOKENS, seed=[1, 2])
    assert all(torch.equal(a[[5, 3], :40], b) for a, b in zip(whole, part, strict=True))
    other = corrupt(tokens, spots, fraction=0.3, n_tokens=N_TOKENS, seed=[1, 3])
    assert not torch.equal(whole[1], other[1])
