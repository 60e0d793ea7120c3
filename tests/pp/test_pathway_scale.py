"""Scores against a scale agree across depths and gene panels, and leave what really differs between slides."""

import dataclasses
import functools

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError, OptionError
from histoscribe._pathway_scale import PathwayScale

from ..toys import cached_toy

N_TRAIN = 4


@functools.cache
def _planted() -> list[AnnData]:
    return cached_toy(n_slides=N_TRAIN + 1, n_spots=150, n_genes=600)


def _slides() -> tuple[list[AnnData], dict[str, list[str]]]:
    return [_with(one, one.layers["counts"].copy()) for one in _planted()], _planted()[0].uns["truth"]["gene_sets"]


def _with(adata: AnnData, counts: sp.csr_matrix) -> AnnData:
    other = AnnData(counts, obs=adata.obs[[]], var=adata.var[[]])
    other.layers["counts"] = counts
    return other


def _thinned(adata: AnnData, share: float | np.ndarray) -> AnnData:
    """Keep each count with a probability, by gene where it is an array: shallower, or by another technology."""
    counts = adata.layers["counts"].toarray()
    return _with(adata, sp.csr_matrix(np.random.default_rng(7).binomial(counts, share)))


def _gap(one: AnnData, other: AnnData) -> float:
    """Mean shift of a set's scores between two readings of the same spots, in standard deviations of the scores."""
    a, b = (x.obsm["score_pathways"] for x in (one, other))
    return float(((a - b).mean() / a.std()).abs().mean())


@pytest.mark.weekly
def test_scores_of_a_shallow_slide_agree_with_the_deep_one_only_on_the_scale() -> None:
    slides, sets = _slides()
    scale, deep = hs.pp.fit_pathway_scale(slides[:N_TRAIN], sets), slides[-1]
    # highly expressed sets lose and others gain t-value when a slide is shallow
    shallow = _thinned(deep, 1 / 10)
    gaps = {}
    for reference in (None, scale):
        for one in (deep, shallow):
            hs.pp.score_pathways(one, sets, reference=reference)
        gaps[reference is None] = _gap(deep, shallow)
    assert gaps[False] < 0.12
    assert gaps[True] > 2 * gaps[False]


def test_scores_of_another_panel_agree_only_on_the_scale() -> None:
    slides, sets = _slides()
    known = sorted({gene for genes in sets.values() for gene in genes})
    spare = [gene for gene in slides[0].var_names if gene not in known]
    counts = slides[-1].layers["counts"].toarray().astype(float)
    order = np.argsort(counts[:, slides[-1].var_names.get_indexer(spare)].sum(axis=0))
    panel = [*known, *(spare[k] for k in order[: len(spare) // 2])]  # the weak half of the genes in no set
    scale = hs.pp.fit_pathway_scale([one[:, panel].copy() for one in slides[:N_TRAIN]], sets)
    whole, part = slides[-1], slides[-1][:, panel].copy()
    for one in (whole, part):
        hs.pp.score_pathways(one, sets, reference=scale)
    np.testing.assert_allclose(part.obsm["score_pathways"], whole.obsm["score_pathways"], atol=1e-5)
    for one in (whole, part):
        hs.pp.score_pathways(one, sets)
    assert _gap(whole, part) > 0.3


def test_technologies_agree_with_a_scale_each_and_not_on_one_or_none() -> None:
    slides, sets = _slides()
    seen = np.random.default_rng(3).beta(1, 2, slides[0].n_vars)  # how well the second technology sees each gene
    others = [_thinned(one, seen) for one in slides]
    first, second = (hs.pp.fit_pathway_scale(some[:N_TRAIN], sets) for some in (slides, others))
    gaps = {}
    for name, ours, theirs in (("none", None, None), ("one", first, first), ("each", first, second)):
        hs.pp.score_pathways(slides[-1], sets, reference=ours)
        hs.pp.score_pathways(others[-1], sets, reference=theirs)
        gaps[name] = _gap(slides[-1], others[-1])
    assert gaps["each"] < 0.15
    assert min(gaps["none"], gaps["one"]) > 4 * gaps["each"]


def test_what_differs_between_slides_stays() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:N_TRAIN], sets)
    shift = np.ones(slides[-1].n_vars)
    shift[slides[-1].var_names.get_indexer(sets["NULL_0"])] = 2
    counts = slides[-1].layers["counts"].toarray()
    active = _with(slides[-1], sp.csr_matrix(np.random.default_rng(5).poisson(counts * shift)))
    same = _with(slides[-1], sp.csr_matrix(np.random.default_rng(5).poisson(counts)))
    for one in (active, same):
        hs.pp.score_pathways(one, sets, reference=scale)
    more = active.obsm["score_pathways"].mean() - same.obsm["score_pathways"].mean()
    assert more["NULL_0"] > 0.8
    assert more.drop("NULL_0").abs().max() < 0.4  # z-scores per slide would make all of them 0


def test_training_spots_have_mean_zero_and_sd_one_at_their_depth() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:N_TRAIN], sets)
    hs.pp.score_pathways(slides[:N_TRAIN], reference=scale)
    scores = np.vstack([one.obsm["score_pathways"] for one in slides[:N_TRAIN]])
    assert np.abs(scores.mean(axis=0)).max() < 0.1
    np.testing.assert_allclose(scores.std(axis=0), 1, atol=0.1)


def test_genes_are_measured_against_the_training_spots() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:2], sets)
    counts = np.vstack([one.layers["counts"].toarray() for one in slides[:2]])
    common = (counts > 0).mean(axis=0) >= 0.01
    assert scale.genes == tuple(slides[0].var_names[common])
    x = np.log1p(1e4 * counts[:, common] / counts[:, common].sum(axis=1, keepdims=True))
    np.testing.assert_allclose(scale.means, x.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(scale.sds, x.std(axis=0), rtol=1e-6)
    assert scale.n_spots == len(counts)


def test_scale_survives_json_and_its_hash_is_recorded() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:2], {**sets, "few": sets["NULL_0"][:2]})
    back = PathwayScale.from_json(scale.to_json())
    assert back.sha256 == scale.sha256
    for one in (back, scale):
        hs.pp.score_pathways(slides[2], reference=one, key_added=f"score_{one is back}")
    np.testing.assert_array_equal(slides[2].obsm["score_True"], slides[2].obsm["score_False"])
    assert slides[2].obsm["score_True"].columns[slides[2].obsm["score_True"].isna().all()].tolist() == ["few"]
    record = slides[2].uns["histoscribe"]["obsm.score_True"]
    assert record["hashes"]["reference"] == scale.sha256
    assert record["params"]["reference"] is True
    with pytest.raises(GenesError, match=r"PathwayScale\.to_json"):
        PathwayScale.from_json("[]")
    with pytest.raises(GenesError, match="means"):
        dataclasses.replace(scale, means=scale.means[1:])


def test_options_that_are_not_the_scales_are_refused() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:2], sets, method="zscore", min_genes=4)
    hs.pp.score_pathways(slides[2], reference=scale)
    assert slides[2].uns["histoscribe"]["obsm.score_pathways"]["params"]["method"] == "zscore"
    hs.pp.score_pathways(slides[2], sets, reference=scale, method="zscore", min_genes=4)
    with pytest.raises(OptionError, match="gene_sets"):
        hs.pp.score_pathways(slides[2], {"a": sets["NULL_0"]}, reference=scale)
    with pytest.raises(OptionError, match="viper"):
        hs.pp.score_pathways(slides[2], reference=scale, method="viper")
    with pytest.raises(OptionError, match="min_genes"):
        hs.pp.score_pathways(slides[2], reference=scale, min_genes=9)
    with pytest.raises(OptionError, match="gsva"):
        hs.pp.fit_pathway_scale(slides[:2], sets, method="gsva")


def test_missing_genes_of_the_scale_warn_then_fail() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:2], sets)
    with pytest.warns(UserWarning, match="scores compare less well"):
        hs.pp.score_pathways(slides[2][:, :400].copy(), reference=scale)
    with pytest.raises(GenesError, match="genes of the scale"):
        hs.pp.score_pathways(slides[2][:, :90].copy(), reference=scale)
    other = slides[1].copy()
    other.var_names = [f"X{k}" for k in range(other.n_vars)]
    with pytest.raises(GenesError, match="no gene in all sections"):
        hs.pp.fit_pathway_scale([slides[0], other], sets)


def test_empty_spot_scores_zero_on_the_scale_too() -> None:
    slides, sets = _slides()
    scale = hs.pp.fit_pathway_scale(slides[:2], sets)
    counts = slides[2].layers["counts"].tolil()
    counts[3] = 0
    slides[2].layers["counts"] = counts.tocsr()
    hs.pp.score_pathways(slides[2], reference=scale)
    assert (slides[2].obsm["score_pathways"].iloc[3] == 0).all()
    assert not slides[2].obs["score_pathways_valid"].iloc[3]
