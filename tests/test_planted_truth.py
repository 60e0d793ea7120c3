"""From counts and image to domains, on sections whose truth is known."""

import numpy as np
import pytest
from anndata import AnnData
from sklearn.metrics import adjusted_rand_score

import histoscribe as hs

from .toys import cached_toy

NOTHING = 0.1  # an adjusted Rand index below this is chance on 400 spots


def _fused(plant: hs.datasets.Plant) -> AnnData:
    adata = cached_toy(plant=plant)
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "stain_stats")
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata))
    hs.tl.fuse(adata, hs.nn.Contrastive())
    hs.pp.score_pathways(adata, adata.uns["truth"]["gene_sets"])
    return adata


def _agreement(adata: AnnData, use_rep: str, *, leiden: bool = False) -> float:
    if leiden:
        hs.tl.domains_leiden(adata, n_domains=4, use_rep=use_rep)
    else:
        hs.tl.domains_gmm(adata, 4, use_rep=use_rep)
    return float(adjusted_rand_score(adata.obs["true_domain"], adata.obs["domain"]))


def _own_pathways_first(adata: AnnData) -> int:
    scores = adata.obsm["score_pathways"]
    above = scores.groupby(adata.obs["true_domain"].to_numpy()).mean() - scores.mean()
    return sum(above.loc[f"D{k}"].idxmax() == f"DOMAIN_{k}" for k in range(4))


@pytest.fixture(scope="module")
def plain() -> AnnData:
    """Return a section where everything planted is plain to see."""
    return _fused(hs.datasets.Plant())


@pytest.mark.parametrize("leiden", [False, True])
def test_planted_domains_come_back(plain: AnnData, leiden: bool) -> None:
    assert _agreement(plain, "X_fused", leiden=leiden) > 0.9


def test_planted_pathways_rank_first(plain: AnnData) -> None:
    assert _own_pathways_first(plain) == 4


@pytest.mark.weekly
def test_coordinates_find_neither(plain: AnnData) -> None:
    assert _agreement(plain, "spatial") < 0.15
    # The same scores on spots that lie elsewhere: nothing is first in its own domain but by chance.
    moved = plain.copy()
    moved.obs["true_domain"] = cached_toy(random_state=1).obs["true_domain"].to_numpy()
    assert _own_pathways_first(moved) < 3


def test_image_and_genes_meet_in_the_joint_space(plain: AnnData) -> None:
    image, genes = plain.obsm["X_fused_image"], plain.obsm["X_fused_genes"]
    chance = 10 / plain.n_obs
    assert hs.metrics.recall_at_k(image, genes, 10) > 3 * chance
    shuffled = np.random.default_rng(0).permutation(genes)
    assert hs.metrics.recall_at_k(image, shuffled, 10) < 2 * chance


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore:n_domains=4 was not reached")  # of noise, Leiden makes what it makes
def test_without_signal_there_is_nothing_to_find() -> None:
    adata = _fused(hs.datasets.Plant(signal=0.0))
    for rep in ("X_image", "X_genes", "X_fused"):
        assert abs(_agreement(adata, rep)) < NOTHING
        assert abs(_agreement(adata, rep, leiden=True)) < NOTHING
    assert _own_pathways_first(adata) < 3


@pytest.mark.weekly
def test_what_is_split_between_the_modalities_needs_both() -> None:
    adata = _fused(hs.datasets.Plant(split=True, n_links=0))
    both = _agreement(adata, "X_fused")
    assert both > 0.8
    assert max(_agreement(adata, "X_image"), _agreement(adata, "X_genes")) < both - 0.2
