"""Scores against scipy's regression and against decoupler; planted pathways; edges."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy import stats

import histoscribe as hs
from histoscribe._errors import GenesError, OptionError
from histoscribe.pp._pathways import membership_matrix
from histoscribe.pp._ulm import ulm


def _section() -> tuple[AnnData, dict[str, list[str]]]:
    adata = hs.datasets.toy(n_spots=60)
    return adata, adata.uns["truth"]["gene_sets"]


def _logged(adata: AnnData) -> np.ndarray:
    counts = adata.layers["counts"].toarray().astype(float)
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


def test_scores_and_p_values_equal_a_regression_by_scipy() -> None:
    adata, sets = _section()
    x = _logged(adata)
    membership = membership_matrix(list(adata.var_names), sets)
    t, p = ulm(sp.csr_matrix(x), membership)
    dense = membership.toarray()
    for i, k in [(0, 0), (7, 3), (59, len(sets) - 1)]:
        fit = stats.linregress(dense[:, k], x[i])
        np.testing.assert_allclose(t[i, k], fit.slope / fit.stderr, rtol=1e-8)
        np.testing.assert_allclose(p[i, k], fit.pvalue, rtol=1e-8)


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_scores_equal_decoupler() -> None:
    import decoupler as dc

    adata, sets = _section()
    hs.pp.score_pathways(adata, sets)
    other = AnnData(_logged(adata), obs=adata.obs[[]], var=adata.var[[]])
    net = pd.DataFrame([(s, g) for s, genes in sets.items() for g in genes], columns=["source", "target"])
    dc.mt.ulm(other, net, tmin=5, empty=False, bsize=1000)
    for ours, theirs in (("score_pathways", "score_ulm"), ("padj_pathways", "padj_ulm")):
        wanted = other.obsm[theirs][list(sets)].to_numpy()
        np.testing.assert_allclose(adata.obsm[ours].to_numpy(), wanted, atol=1e-3)


def test_planted_pathway_ranks_first_in_its_domain() -> None:
    for signal, wins in ((1.0, 4), (0.0, None)):
        adata = hs.datasets.toy(plant=hs.datasets.Plant(signal=signal))
        hs.pp.score_pathways(adata, adata.uns["truth"]["gene_sets"])
        scores = adata.obsm["score_pathways"]
        above = scores.groupby(adata.obs["true_domain"].to_numpy()).mean() - scores.mean()
        first = sum(above.loc[f"D{k}"].idxmax() == f"DOMAIN_{k}" for k in range(4))
        assert first == wins if wins is not None else first < 3


def test_score_of_a_spot_does_not_depend_on_the_others() -> None:
    adata, sets = _section()
    few = adata[:10].copy()
    for one in (adata, few):
        hs.pp.score_pathways(one, sets)
    np.testing.assert_array_equal(adata.obsm["score_pathways"].iloc[:10], few.obsm["score_pathways"])


def test_order_of_genes_does_not_matter() -> None:
    adata, sets = _section()
    turned = adata[:, ::-1].copy()
    for one in (adata, turned):
        hs.pp.score_pathways(one, sets)
    np.testing.assert_allclose(adata.obsm["score_pathways"], turned.obsm["score_pathways"], atol=1e-5)


def test_empty_spot_scores_zero_and_is_flagged() -> None:
    adata, sets = _section()
    counts = adata.layers["counts"].tolil()
    counts[2] = 0
    adata.layers["counts"] = counts.tocsr()
    hs.pp.score_pathways(adata, sets)
    assert (adata.obsm["score_pathways"].iloc[2] == 0).all()
    assert (adata.obsm["padj_pathways"].iloc[2] == 1).all()
    np.testing.assert_array_equal(np.flatnonzero(~adata.obs["score_pathways_valid"]), [2])


def test_set_with_few_measured_genes_is_a_nan_column() -> None:
    adata, sets = _section()
    sets = {**sets, "small/set": sets["NULL_0"][:3], "none": ["ACTB"], "empty": []}
    hs.pp.score_pathways(adata, sets, key_added="score_mine")
    scores = adata.obsm["score_mine"]
    assert scores.columns[-3:].tolist() == ["small_set", "none", "empty"]
    assert scores.isna().all().to_numpy().nonzero()[0].tolist() == [len(sets) - 3, len(sets) - 2, len(sets) - 1]
    assert adata.uns["histoscribe"]["obsm.score_mine"]["params"]["unscored"] == ["small/set", "none", "empty"]
    assert "padj_mine" in adata.obsm


def test_genes_twice_in_a_set_count_once() -> None:
    adata, sets = _section()
    hs.pp.score_pathways(adata, {"a": sets["NULL_0"], "b": sets["NULL_0"] * 2})
    np.testing.assert_array_equal(adata.obsm["score_pathways"]["a"], adata.obsm["score_pathways"]["b"])


def test_no_set_at_all_says_why() -> None:
    adata, sets = _section()
    with pytest.raises(GenesError, match="same species"):
        hs.pp.score_pathways(adata, {k: [g.capitalize() for g in genes] for k, genes in sets.items()})
    with pytest.raises(OptionError, match="method"):
        hs.pp.score_pathways(adata, sets, method="gsea")


def test_hallmark_and_gmt_files_agree(data: object) -> None:
    adata = hs.datasets.her2st("C2")
    hs.pp.score_pathways(adata)
    assert adata.obsm["score_hallmark"].shape == (adata.n_obs, 50)
    hs.pp.score_pathways(adata, f"{data}/genesets/h.all.v7.4.symbols.gmt", key_added="score_gmt")
    np.testing.assert_array_equal(adata.obsm["score_gmt"], adata.obsm["score_hallmark"])


def test_names_of_another_species_warn_where_some_sets_still_match() -> None:
    adata, sets = _section()
    mouse = {name: [gene.capitalize() for gene in genes] for name, genes in sets.items()}
    with pytest.warns(UserWarning, match=r"Only 1 of .*same species"):
        hs.pp.score_pathways(adata, {**mouse, "NULL_0": sets["NULL_0"]})


@pytest.mark.parametrize(("wrong", "said"), [(["ERBB2"], "list"), ("hallmarks", "Did you mean 'hallmark'"), (3, "int")])
def test_what_is_no_collection_of_sets_says_so(wrong: Any, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        hs.pp.score_pathways(_section()[0], wrong)
