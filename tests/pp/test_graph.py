"""The graph against an explicit loop, and as squidpy wants it."""

import numpy as np
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import OptionError

from ..toys import cached_toy


def _loop(xy: np.ndarray, section: np.ndarray, k: int) -> np.ndarray:
    n = len(xy)
    joined = np.zeros((n, n))
    for i in range(n):
        others = [j for j in range(n) if j != i and section[j] == section[i]]
        for j in sorted(others, key=lambda j: np.hypot(*(xy[i] - xy[j])))[:k]:
            joined[i, j] = joined[j, i] = np.hypot(*(xy[i] - xy[j]))
    return joined


def _scattered(n: int = 50) -> AnnData:
    adata = cached_toy(n_spots=n)
    adata.obsm["spatial"] = np.random.default_rng(0).uniform(0, 1000, (n, 2))
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = 0.5
    return adata


def test_graph_equals_the_loop_and_is_in_micrometres() -> None:
    adata = _scattered()
    hs.pp.spatial_graph(adata, n_neighbors=5)
    wanted = _loop(adata.obsm["spatial"] * 0.5, np.zeros(50), 5)
    np.testing.assert_allclose(adata.obsp["spatial_distances"].toarray(), wanted)
    np.testing.assert_array_equal(adata.obsp["spatial_connectivities"].toarray(), wanted > 0)


def test_radius_joins_all_within_it() -> None:
    adata = _scattered()
    hs.pp.spatial_graph(adata, radius_um=100)
    xy = adata.obsm["spatial"] * 0.5
    apart = np.linalg.norm(xy[:, None] - xy[None], axis=-1)
    np.testing.assert_array_equal(adata.obsp["spatial_connectivities"].toarray() > 0, (apart <= 100) & (apart > 0))


def test_no_edge_joins_two_sections_that_lie_over_each_other() -> None:
    import anndata

    slides = cached_toy(n_slides=2, n_spots=30)
    both = anndata.concat(slides)
    both.uns["spatial"] = {k: v for s in slides for k, v in s.uns["spatial"].items()}
    both.obsm["spatial"] = np.random.default_rng(0).uniform(0, 1000, (60, 2))  # no ties
    hs.pp.spatial_graph(both)
    joined = both.obsp["spatial_connectivities"].toarray()
    assert joined[:30, 30:].sum() == 0
    np.testing.assert_allclose(
        both.obsp["spatial_distances"].toarray(),
        _loop(both.obsm["spatial"], both.obs["library_id"].to_numpy(), 6),
    )


def test_squidpy_works_on_it() -> None:
    import squidpy as sq

    adata = cached_toy()
    hs.pp.spatial_graph(adata)
    sq.gr.nhood_enrichment(adata, cluster_key="true_domain", seed=0, show_progress_bar=False, n_perms=50)
    z = adata.uns["true_domain_nhood_enrichment"]["zscore"]
    assert (z.argmax(axis=1) == np.arange(4)).all()


@pytest.mark.parametrize("n_neighbors", [0, 50, 51])
def test_more_neighbours_than_spots_is_refused(n_neighbors: int) -> None:
    with pytest.raises(OptionError, match="n_neighbors"):
        hs.pp.spatial_graph(_scattered(), n_neighbors=n_neighbors)


def test_missing_positions_are_refused_by_number() -> None:
    adata = _scattered()
    adata.obsm["spatial"][:3] = np.nan
    with pytest.raises(OptionError, match="3 spots without a position"):
        hs.pp.spatial_graph(adata)
