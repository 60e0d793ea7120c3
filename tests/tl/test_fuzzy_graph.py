"""The graph that Leiden cuts is scanpy's."""

from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe.tl import _domains_leiden
from histoscribe.tl._fuzzy_graph import fuzzy_graph


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore")  # umap's and numba's own
@pytest.mark.parametrize(("n", "d", "k"), [(50, 3, 15), (400, 20, 15), (30, 2, 29), (20, 2, 2), (3000, 64, 10)])
def test_it_is_the_graph_of_scanpy(n: int, d: int, k: int) -> None:
    import scanpy as sc

    x = np.random.default_rng(n).normal(size=(n, d))
    adata = AnnData(obs=pd.DataFrame(index=[str(i) for i in range(n)]), obsm={"x": x})
    sc.pp.neighbors(adata, n_neighbors=k, use_rep="x")
    assert abs(fuzzy_graph(x, k) - adata.obsp["connectivities"]).max() < 1e-4


def test_weights_of_a_row_are_those_of_an_explicit_search() -> None:
    x = np.random.default_rng(0).normal(size=(40, 4))
    found, k = fuzzy_graph(x, 8).toarray(), 8
    directed = np.zeros((40, 40))
    for i in range(40):
        d = np.linalg.norm(x - x[i], axis=1)
        near = np.argsort(d)[1:k]
        low, high = 1e-6, 1e3
        for _ in range(200):
            scale = (low + high) / 2
            low, high = (low, scale) if np.exp(-(d[near] - d[near[0]]) / scale).sum() > np.log2(k) else (scale, high)
        directed[i, near] = np.exp(-(d[near] - d[near[0]]) / scale)
    np.testing.assert_allclose(found, directed + directed.T - directed * directed.T, atol=1e-4)
    np.testing.assert_array_equal(found, found.T)


def test_rows_that_are_all_the_same_have_a_graph() -> None:
    graph = fuzzy_graph(np.ones((20, 3)), 5)
    assert np.isfinite(graph.data).all()
    assert (graph.sum(axis=1) > 0).all()


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore")
def test_domains_are_those_of_scanpys_graph() -> None:
    centres = np.random.default_rng(1).normal(size=(4, 8)) * 2
    x = centres[np.arange(300) % 4] + np.random.default_rng(2).normal(size=(300, 8))
    adata = AnnData(obs=pd.DataFrame(index=[str(i) for i in range(300)]), obsm={"X_fused": x})
    hs.tl.domains_leiden(adata)
    with patch.object(_domains_leiden, "_FEW", 0):
        hs.tl.domains_leiden(adata, key_added="by_scanpy")
    assert (adata.obs["domain"].astype(str) == adata.obs["by_scanpy"].astype(str)).all()
