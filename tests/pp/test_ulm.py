"""The sparse regression against scipy's, a spot and a set at a time."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from histoscribe.pp._ulm import Universe, ulm


def _counts(n: int = 12, g: int = 90, *, fractions: bool = False) -> np.ndarray:
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.lognormal(0, 1.5, g), (n, g)).astype(float)
    return counts * 0.7 if fractions else counts


def _sets(g: int = 90, n_sets: int = 7, *, weighted: bool = False) -> np.ndarray:
    rng = np.random.default_rng(1)
    sets = (rng.random((g, n_sets)) < 0.2).astype(float)
    return sets * rng.normal(0, 1, sets.shape) if weighted else sets


def _regressed(x: np.ndarray, sets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    fits = [[stats.linregress(sets[:, k], row) for k in range(sets.shape[1])] for row in x]
    t = np.array([[fit.slope / fit.stderr for fit in row] for row in fits])
    p = np.array([[fit.pvalue for fit in row] for row in fits])
    return t, stats.false_discovery_control(p, axis=1)


def _logged(counts: np.ndarray) -> np.ndarray:
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("fractions", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_t_and_p_values_are_those_of_scipy(fractions: bool, weighted: bool) -> None:
    counts, sets = _counts(fractions=fractions), _sets(weighted=weighted)
    t, p = ulm(sp.csr_matrix(counts), sp.csr_matrix(sets))
    wanted_t, wanted_p = _regressed(_logged(counts), sets)
    assert p is not None
    np.testing.assert_allclose(t, wanted_t, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(p, wanted_p, rtol=2e-5)


def test_centred_genes_of_a_part_are_those_of_scipy() -> None:
    counts, sets, rng = _counts(), _sets(weighted=True), np.random.default_rng(2)
    inside, means, sds = rng.random(90) < 0.7, rng.random(90), rng.random(90) + 0.5
    t, p = ulm(sp.csr_matrix(counts), sp.csr_matrix(sets), Universe(inside, means, sds))
    x = (_logged(counts[:, inside]) - means[inside]) / sds[inside]
    wanted_t, wanted_p = _regressed(x, sets[inside])
    assert p is not None
    np.testing.assert_allclose(t, wanted_t, rtol=2e-6, atol=1e-6)
    np.testing.assert_allclose(p, wanted_p, rtol=2e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32])
def test_type_order_explicit_zeros_and_threads_make_no_difference(dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    counts, sets = np.minimum(_counts(5000), 200), sp.csr_matrix(_sets())
    wanted, _ = ulm(sp.csr_matrix(counts), sets)
    csr = sp.csr_matrix(counts.astype(dtype))
    csr.data[::7] = 0
    wanted_less, _ = ulm(sp.csr_matrix(csr.toarray().astype(float)), sets)
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", 3)
    np.testing.assert_array_equal(ulm(csr, sets)[0], wanted_less)
    turned = sp.csr_matrix(counts[::-1, ::-1].astype(dtype))
    np.testing.assert_allclose(ulm(turned, sp.csr_matrix(sets[::-1]))[0], wanted[::-1], rtol=1e-5, atol=1e-5)


def test_no_counts_and_no_variance_give_zero_and_one() -> None:
    counts, sets = _counts(3), _sets(n_sets=3)
    counts[1] = 0
    counts[2] = 4
    sets[:, 0] = 1
    t, p = ulm(sp.csr_matrix(counts), sp.csr_matrix(sets))
    assert p is not None
    assert (t[1:] == 0).all()
    assert (p[1:] == 1).all()
    assert t[0, 0] == 0
    assert (t[0, 1:] != 0).all()
