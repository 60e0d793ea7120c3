import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.decomposition import PCA as Reference

from histoscribe._errors import OptionError
from histoscribe._expression import log_cp10k
from histoscribe.nn import PCA
from histoscribe.nn.genes._pca import PCAModule


@pytest.fixture
def counts() -> sp.csr_matrix:
    rng = np.random.default_rng(0)
    rate = rng.gamma(1, 2, size=(60, 1)) * np.exp(rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40)))
    return sp.csr_matrix(rng.poisson(rate).astype(np.float32))


def _fitted(counts: sp.csr_matrix, *, n_comps: int = 5, centre: bool = True) -> PCAModule:
    module = PCA(n_comps=n_comps, centre=centre).build({"genes": counts.shape[1]})
    module.fit(counts)
    return module


def test_components_are_those_of_a_dense_pca(counts: sp.csr_matrix) -> None:
    dense = log_cp10k(counts).toarray()
    reference = Reference(5, svd_solver="full").fit(dense)
    found = _fitted(counts).transform(counts)
    sign = np.sign((found * reference.transform(dense)).sum(axis=0))
    np.testing.assert_allclose(found * sign, reference.transform(dense), atol=1e-3)


def test_without_centring_it_is_a_truncated_svd(counts: sp.csr_matrix) -> None:
    u, s, _ = np.linalg.svd(log_cp10k(counts).toarray(), full_matrices=False)
    found = _fitted(counts, centre=False).transform(counts)
    np.testing.assert_allclose(np.abs(found), np.abs(u[:, :5] * s[:5]), atol=1e-3)


def test_largest_entry_of_each_component_is_positive(counts: sp.csr_matrix) -> None:
    components = _fitted(counts).components.numpy()
    assert (components[np.arange(5), np.abs(components).argmax(axis=1)] > 0).all()


def test_missing_genes_count_as_their_mean(counts: sp.csr_matrix) -> None:
    module = _fitted(counts)
    present = np.ones(40, dtype=bool)
    present[[3, 7]] = False
    blanked = counts.toarray()
    blanked[:, ~present] = 0
    filled = log_cp10k(sp.csr_matrix(blanked)).toarray()
    filled[:, ~present] = module.mean.numpy()[~present]
    expected = (filled - module.mean.numpy()) @ module.components.numpy().T
    np.testing.assert_allclose(module.transform(sp.csr_matrix(blanked), present), expected, atol=1e-4)


def test_too_many_components_say_how_many_there_can_be(counts: sp.csr_matrix) -> None:
    with pytest.raises(OptionError, match=r"n_comps: found 40; expected at most 39.*Pass n_comps=39"):
        _fitted(counts, n_comps=40)
