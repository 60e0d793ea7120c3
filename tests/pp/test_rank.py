"""The rank itself against its definition: ties, fractions, explicit zeros, both ranks, any number of threads."""

from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

import histoscribe as hs
from histoscribe.pp import _rank
from histoscribe.pp._rank import Rank

from ..marks import weekly
from ..toys import cached_toy


def _ranked(counts: np.ndarray, weights: np.ndarray, rank: str, n_tokens: int) -> np.ndarray:
    """Rank the genes of dense counts (n, g) by the definitions, one spot at a time."""
    rows = []
    for spot in counts.astype(float):
        keyed = []
        for k, count in enumerate(spot):
            if count > 0 and rank == "mean":
                keyed.append((-count / weights[k], -count, k))
            elif count > 0:
                expected = spot.sum() * weights[k]
                spread = np.sqrt(max(expected + expected * expected / 100, 1))
                keyed.append((-(count - expected) / spread, -count, k))
        tokens = [30 + k for _, _, k in sorted(keyed)][:n_tokens]
        rows.append(tokens + [0] * (n_tokens - len(tokens)))
    return np.array(rows)


@pytest.mark.parametrize("rank", ["mean", "residual"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float32, np.float64])
def test_random_counts_with_ties_are_ranked_as_defined(rank: Rank, dtype: type, monkeypatch: Any) -> None:
    rng = np.random.default_rng(0)
    for case in range(8):
        n_genes = int(rng.integers(1, 120))
        counts: Any = rng.poisson(rng.choice([0.02, 0.5, 3.0]), (17, n_genes)).astype(dtype)
        if dtype in (np.float32, np.float64) and case % 2:
            counts *= dtype(0.3)  # fractions
        counts[rng.integers(17)] = 0
        weights = rng.choice([0.5, 1.0, 1.0 + 1e-15, 1 / 3, 2.0], n_genes)  # ties, also those that rounding makes
        weights = weights / (weights.sum() if rank == "residual" else 1)
        csr = sp.csr_matrix(counts)
        csr.data[rng.random(csr.nnz) < 0.1] = 0  # explicit zeros
        monkeypatch.setattr(_rank, "_KEYS_AT_ONCE", int(rng.choice([1, 100, 1 << 18])))
        for n_tokens in (1, 5, n_genes + 3):
            tokens, sums = _rank.rank_tokens(csr, np.arange(n_genes), weights, n_tokens, rank=rank)
            np.testing.assert_allclose(sums, np.repeat(csr.toarray().sum(axis=1, dtype=float)[:, None], 2, axis=1))
            np.testing.assert_array_equal(tokens, _ranked(csr.toarray(), weights, rank, n_tokens))


def test_values_that_differ_in_their_last_bits_are_told_apart() -> None:
    # 100,000 genes take 17 bits of a key, so these agree in what is left of their values
    genes = np.random.default_rng(0).permutation(12)
    means = np.full(100_000, 7.0)
    means[genes] -= 4e-15 * np.arange(12)
    counts: sp.csr_matrix = sp.csr_matrix((np.ones(12), (np.zeros(12, dtype=int), np.arange(12))), shape=(1, 100_000))
    assert len(set(means[genes])) == 12
    tokens, _ = _rank.rank_tokens(counts, np.arange(100_000), means, 12)
    assert (tokens[0] - 30).tolist() == genes[::-1].tolist()


def test_threads_make_no_difference(monkeypatch: Any) -> None:
    counts: sp.csr_matrix = sp.csr_matrix(np.random.default_rng(1).poisson(0.4, (300, 80)))
    monkeypatch.setattr(_rank, "_KEYS_AT_ONCE", 500)
    found = []
    for n in (1, 4):
        monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", n)
        found.append(_rank.rank_tokens(counts, np.arange(80), np.ones(80), 50)[0])
    np.testing.assert_array_equal(found[0], found[1])


def test_residuals_expect_the_shares_of_the_genes_that_are_measured() -> None:
    adata = cached_toy(n_spots=40, n_genes=200, plant=hs.datasets.Plant(n_null=5))
    vocabulary = hs.pp.fit_vocabulary(adata)
    assert vocabulary.shares is not None
    counts = adata.layers["counts"].toarray()
    np.testing.assert_allclose(vocabulary.shares, np.maximum(counts.sum(axis=0), 0.5) / counts.sum(), rtol=1e-12)
    few = adata[:, 50:].copy()
    hs.pp.tokenize_genes(few, vocabulary, n_tokens=60, rank="residual")
    shares = vocabulary.shares[50:] / vocabulary.shares[50:].sum()
    wanted = _ranked(counts[:, 50:], shares, "residual", 60)
    np.testing.assert_array_equal(few.obsm["gene_tokens"], np.where(wanted > 0, wanted + 50, 0))
    assert few.uns["histoscribe"]["obsm.gene_tokens"]["params"]["rank"] == "residual"


@pytest.mark.parametrize("rank", ["mean", *weekly("residual")])
def test_planted_genes_come_first_in_their_domain(rank: Rank) -> None:
    for signal in (1.0, 0.0):
        adata = cached_toy(plant=hs.datasets.Plant(signal=signal))
        vocabulary = hs.pp.fit_vocabulary(adata)
        hs.pp.tokenize_genes(adata, vocabulary, n_tokens=20, rank=rank)
        tokens, domain = adata.obsm["gene_tokens"], adata.obs["true_domain"].to_numpy()
        lift = []
        for k in range(4):
            own = np.isin(tokens, 30 + vocabulary.index(adata.uns["truth"]["gene_sets"][f"DOMAIN_{k}"])).mean(axis=1)
            lift.append(own[domain == f"D{k}"].mean() / own[domain != f"D{k}"].mean())
        assert (min(lift) > 1.5) == (signal == 1)
        assert signal == 1 or max(lift) < 1.3


def test_ids_above_16_bits_take_32() -> None:
    counts, position = sp.csr_matrix([[1]]), np.array([65506])
    assert _rank.rank_tokens(counts, position, np.ones(65507), 1)[0].dtype == np.uint32
    assert _rank.rank_tokens(counts, np.array([65505]), np.ones(65506), 1)[0].tolist() == [[65535]]
