import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

import histoscribe as hs
from histoscribe._errors import DependencyError, MissingError, OptionError
from histoscribe._keys import Keys, valid
from histoscribe.tl._domains import categories
from histoscribe.tl._domains_leiden import mix, search

from .conftest import section


def _clustered(sizes: tuple[int, ...] = (60, 40, 20), *, seed: int = 0) -> AnnData:
    """Well separated groups of vectors, in shuffled rows."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = np.random.default_rng(9).normal(size=(len(sizes), 8)) * 6
    adata = AnnData(np.zeros((len(truth), 1), dtype=np.float32))
    adata.obsm[Keys.X_FUSED] = (centres[truth] + rng.normal(size=(len(truth), 8))).astype(np.float32)
    adata.obs[Keys.TRUE_DOMAIN] = pd.Categorical(truth.astype(str))
    return adata


@pytest.fixture
def clustered() -> AnnData:
    return _clustered()


def _leiden(adata: Any, **options: Any) -> Any:
    return hs.tl.domains_leiden(adata, **{"n_domains": 3, **options})


def _gmm(adata: Any, **options: Any) -> Any:
    return hs.tl.domains_gmm(adata, 3, **options)


def _legacy_state() -> list[int]:
    return np.random.get_state(legacy=False)["state"]["key"].tolist()  # noqa: NPY002


BOTH = pytest.mark.parametrize("find", [_leiden, _gmm])


@BOTH
def test_planted_groups_are_found_and_named_by_size(clustered: AnnData, find: Any) -> None:
    find(clustered)
    domain = clustered.obs[Keys.DOMAIN]
    assert adjusted_rand_score(clustered.obs[Keys.TRUE_DOMAIN], domain) == 1
    assert domain.value_counts().loc[["0", "1", "2"]].tolist() == [60, 40, 20]
    assert list(domain.cat.categories) == ["0", "1", "2"]


@BOTH
def test_rows_without_vectors_are_missing(clustered: AnnData, find: Any) -> None:
    clustered.obs[valid(Keys.X_FUSED)] = np.arange(120) % 10 > 0
    clustered.obsm[Keys.X_FUSED][::10] = 0
    find(clustered)
    np.testing.assert_array_equal(clustered.obs[Keys.DOMAIN].isna(), np.arange(120) % 10 == 0)
    kept = clustered[clustered.obs[valid(Keys.X_FUSED)]]
    assert adjusted_rand_score(kept.obs[Keys.TRUE_DOMAIN], kept.obs[Keys.DOMAIN]) == 1


@BOTH
def test_labels_mean_the_same_in_all_sections(find: Any) -> None:
    one, two = _clustered((50, 30, 10)), _clustered((5, 15, 45), seed=1)
    copies = find([one, two], copy=True)
    truth = np.concatenate([c.obs[Keys.TRUE_DOMAIN] for c in copies])
    found = np.concatenate([c.obs[Keys.DOMAIN] for c in copies])
    assert adjusted_rand_score(truth, found) == 1
    assert all(list(c.obs[Keys.DOMAIN].cat.categories) == ["0", "1", "2"] for c in copies)
    assert Keys.DOMAIN not in one.obs


@BOTH
def test_same_seed_same_labels_and_nothing_else_changes(clustered: AnnData, find: Any) -> None:
    before = _legacy_state()
    find(clustered)
    find(clustered, key_added="again", random_state=0)
    assert _legacy_state() == before
    assert (clustered.obs["again"] == clustered.obs[Keys.DOMAIN]).all()
    assert list(clustered.obsm) == [Keys.X_FUSED]
    assert list(clustered.obsp) == []
    assert list(clustered.uns) == [Keys.RECORD]


def test_spatial_weight_brings_neighbours_together() -> None:
    adata = section(400)
    rng = np.random.default_rng(0)
    left = adata.obsm[Keys.SPATIAL][:, 0] > adata.obsm[Keys.SPATIAL][:, 0].mean()
    adata.obsm[Keys.X_FUSED] = (left[:, None] * 1.0 + 0.8 * rng.normal(size=(400, 4))).astype(np.float32)
    xy = adata.obsm[Keys.SPATIAL] / 200
    near = (np.abs(xy[:, None] - xy).sum(-1) == 1).astype(float)
    adata.obsp[Keys.CONNECTIVITIES] = sp.csr_matrix(near)

    def broken_edges(weight: float) -> float:
        hs.tl.domains_leiden(adata, n_domains=2, spatial_weight=weight)
        label = adata.obs[Keys.DOMAIN].to_numpy()
        i, j = near.nonzero()
        return float((label[i] != label[j]).mean())

    assert broken_edges(0.6) < 0.5 * broken_edges(0.0)


def test_mixing_weighs_graphs_by_their_share() -> None:
    a = sp.csr_matrix(np.array([[0, 4.0], [4, 0]]))
    b = sp.csr_matrix(np.array([[0, 1.0], [1, 0]]))
    np.testing.assert_allclose(mix(a, b, 0.25).toarray(), [[0, 1], [1, 0]])
    np.testing.assert_allclose(mix(a, sp.csr_matrix((2, 2)), 0.25).toarray(), [[0, 0.75], [0.75, 0]])


@pytest.mark.parametrize("wanted", [1, 3, 8, 40])
def test_search_reaches_the_number_of_domains(wanted: int) -> None:
    def cluster(resolution: float) -> np.ndarray:
        return np.arange(100) % max(1, min(60, round(5 * resolution)))

    labels, resolution = search(cluster, wanted)
    assert len(np.unique(labels)) == wanted
    np.testing.assert_array_equal(cluster(resolution), labels)


@pytest.mark.parametrize(("reached", "closest"), [((2, 6), 6), ((11, 20), 11), ((1, 1), 1)])
def test_search_says_the_closest_it_came(reached: tuple[int, int], closest: int) -> None:
    def cluster(resolution: float) -> np.ndarray:
        return np.arange(100) % reached[int(resolution > 0.7)]

    with pytest.warns(UserWarning, match=f"n_domains=5 was not reached: the closest is {closest}, at resolution"):
        labels, _ = search(cluster, 5)
    assert len(np.unique(labels)) == closest


def test_categories_are_by_size_then_first_to_occur() -> None:
    found = categories(np.array([5, 2, 2, 9, 5]), np.array([True, True, False, True, True, True]))
    assert found.astype(object).tolist() == ["0", "1", np.nan, "1", "2", "0"]


def test_without_igraph_the_error_names_the_extra_and_the_other_way(
    clustered: AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(DependencyError, match=r"histoscribe\[leiden\].*domains_gmm"):
        hs.tl.domains_leiden(clustered)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda a: hs.tl.domains_leiden(a, use_rep="X_no"), MissingError, "X_no"),
        (lambda a: hs.tl.domains_leiden(a, spatial_weight=0.5), MissingError, r"pp\.spatial_graph"),
        (lambda a: hs.tl.domains_leiden(a, spatial_weight=1.5), OptionError, "spatial_weight"),
        (lambda a: hs.tl.domains_leiden(a, resolution=0), OptionError, "resolution"),
        (lambda a: hs.tl.domains_leiden(a, n_neighbors=1), OptionError, "n_neighbors"),
        (lambda a: hs.tl.domains_leiden(a, n_domains=1000), OptionError, "n_domains"),
        (lambda a: hs.tl.domains_gmm(a, 0), OptionError, "n_domains: found 0"),
        (lambda a: hs.tl.domains_gmm(a, 121), OptionError, "at most 120"),
        (lambda a: hs.tl.domains_gmm(a, 3, n_comps=0), OptionError, "n_comps"),
        (lambda a: hs.tl.domains_gmm(a, 3, use_rep="X_no"), MissingError, "X_no"),
    ],
)
def test_bad_input_changes_nothing(clustered: AnnData, call: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        call(clustered)
    assert Keys.DOMAIN not in clustered.obs
    assert list(clustered.uns) == []


def test_sections_without_a_column_in_common_have_no_common_domains(clustered: AnnData) -> None:
    one, other = clustered.copy(), clustered.copy()
    for adata, lacking in ((one, 0), (other, 1)):
        table = pd.DataFrame(adata.obsm[Keys.X_FUSED][:, :2], adata.obs_names, columns=["a", "b"])
        table.iloc[:, lacking] = np.nan
        adata.obsm[Keys.X_FUSED] = table
    with pytest.raises(OptionError, match="no column that all sections have"):
        hs.tl.domains_gmm([one, other], 2)
