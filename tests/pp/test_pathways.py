"""Scores against scipy's regression and against decoupler; planted pathways; edges."""

import functools
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import stats

import histoscribe as hs
from histoscribe._errors import GenesError, OptionError
from histoscribe.pp._methods import METHODS

from ..toys import cached_toy


@functools.cache
def _toy(n_spots: int) -> AnnData:
    return cached_toy(n_spots=n_spots)


def _section() -> tuple[AnnData, dict[str, list[str]]]:
    adata = _toy(60).copy()
    return adata, adata.uns["truth"]["gene_sets"]


def _logged(adata: AnnData) -> np.ndarray:
    counts = adata.layers["counts"].toarray().astype(float)
    return np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))


@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
def test_scores_equal_decoupler() -> None:
    import decoupler as dc

    adata, sets = _section()
    hs.pp.score_pathways(adata, sets)
    other = AnnData(_logged(adata), obs=adata.obs[[]], var=adata.var[[]])
    dc.mt.ulm(other, _net(sets), tmin=5, empty=False, bsize=1000)
    for ours, theirs in (("score_pathways", "score_ulm"), ("padj_pathways", "padj_ulm")):
        wanted = other.obsm[theirs][list(sets)].to_numpy()
        np.testing.assert_allclose(adata.obsm[ours].to_numpy(), wanted, atol=1e-3)


def test_planted_pathway_ranks_first_in_its_domain() -> None:
    for signal, wins in ((1.0, 4), (0.0, None)):
        adata = cached_toy(plant=hs.datasets.Plant(signal=signal))
        hs.pp.score_pathways(adata, adata.uns["truth"]["gene_sets"])
        scores = adata.obsm["score_pathways"]
        above = scores.groupby(adata.obs["true_domain"].to_numpy()).mean() - scores.mean()
        first = sum(above.loc[f"D{k}"].idxmax() == f"DOMAIN_{k}" for k in range(4))
        assert first == wins if wins is not None else first < 3


QUICK = ("ulm", "zscore", "viper")
SLOW = [
    pytest.param(name, marks=pytest.mark.weekly) for name in METHODS if name not in QUICK
]  # compiled at first use; gsva is the last


@pytest.mark.parametrize("method", [*QUICK, *SLOW[:-1]])
def test_score_of_a_spot_depends_neither_on_the_others_nor_on_the_order_of_genes(method: str) -> None:
    adata, sets = _section()
    few = adata[:7, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    for one in (adata, few):
        hs.pp.score_pathways(one, sets, method=method)
    np.testing.assert_allclose(few.obsm["score_pathways"], adata.obsm["score_pathways"].iloc[:7], atol=2e-5)


@pytest.mark.parametrize("method", [*QUICK, *SLOW])
def test_every_method_finds_the_planted_pathway_and_keeps_empty_spots(method: str) -> None:
    adata = _toy(90).copy()
    counts = adata.layers["counts"].tolil()
    counts[4] = 0
    adata.layers["counts"] = counts.tocsr()
    sets = adata.uns["truth"]["gene_sets"]
    hs.pp.score_pathways(adata, sets, method=method)
    scores, filled = adata.obsm["score_pathways"], adata.obs["score_pathways_valid"].to_numpy()
    np.testing.assert_array_equal(np.flatnonzero(~filled), [4])
    assert (scores.iloc[4] == 0).all()
    assert scores.notna().all().all()
    assert ("padj_pathways" in adata.obsm) == (METHODS[method].p_values is True)
    own = [np.corrcoef(scores[s][filled], adata.obsm["true_pathways"][s][filled])[0, 1] for s in list(sets)[:4]]
    other = [
        np.corrcoef(scores["NULL_0"][filled], adata.obsm["true_pathways"][s][filled])[0, 1] for s in list(sets)[:4]
    ]
    assert min(own) > 0.5
    assert max(np.abs(other)) < 0.4


@pytest.mark.parametrize("method", ["zscore", pytest.param("mlm", marks=pytest.mark.weekly)])
def test_other_methods_equal_decoupler_by_hand(method: str) -> None:
    adata, sets = _section()
    hs.pp.score_pathways(adata, sets, method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import decoupler as dc

        frame = pd.DataFrame(_logged(adata), columns=adata.var_names)
        scores, p = getattr(dc.mt, method)(frame, _net(sets), tmin=5, empty=False)
    np.testing.assert_allclose(adata.obsm["score_pathways"], scores[list(sets)], atol=1e-4)
    if method == "mlm":  # decoupler leaves its p-values as they are
        p[list(sets)] = stats.false_discovery_control(p[list(sets)], axis=1)
    np.testing.assert_allclose(adata.obsm["padj_pathways"], p[list(sets)], atol=1e-4)


@pytest.mark.weekly
def test_ora_counts_the_top_twentieth_of_the_genes() -> None:
    adata, sets = _section()
    hs.pp.score_pathways(adata, sets, method="ora")
    x, n_up = _logged(adata), int(np.ceil(0.05 * adata.n_vars))
    for spot, name in ((0, "DOMAIN_1"), (5, "DOMAIN_2")):
        members = adata.var_names.isin(sets[name])
        low, high = ((x[spot] > cut) for cut in np.sort(x[spot])[[-n_up - 1, -n_up]])  # ties at the border: either way
        odds = []
        for hits in {int((members & low).sum()), int((members & high).sum())} | set(
            range(int((members & high).sum()), int((members & low).sum()) + 1)
        ):
            b, c = members.sum() - hits, n_up - hits
            odds.append(np.log((hits + 0.5) * (20_000 - hits - b - c + 0.5) / ((b + 0.5) * (c + 0.5))))
        assert np.abs(np.array(odds) - adata.obsm["score_pathways"][name].iloc[spot]).min() < 1e-4


@pytest.mark.weekly
def test_permutations_give_p_values_and_follow_the_seed() -> None:
    adata, sets = _section()
    adata, found = adata[:6].copy(), []
    for seed in (0, 0, 1):
        hs.pp.score_pathways(adata, sets, method="gsea", n_perms=20, random_state=seed)
        found.append(adata.obsm["score_pathways"].to_numpy())
    assert "padj_pathways" in adata.obsm
    np.testing.assert_array_equal(found[0], found[1])
    assert np.abs(found[0] - found[2]).max() > 0.01


def test_sets_that_repeat_others_can_not_be_told_apart_by_mlm() -> None:
    adata, sets = _section()
    with pytest.raises(GenesError, match="mlm"):
        hs.pp.score_pathways(adata, {"a": sets["NULL_0"], "b": sets["NULL_0"]}, method="mlm")


def _net(sets: dict[str, list[str]]) -> pd.DataFrame:
    return pd.DataFrame([(s, g) for s, genes in sets.items() for g in genes], columns=["source", "target"])


def test_a_method_that_takes_no_weights_says_so() -> None:
    adata = cached_toy(n_spots=30)
    sets = adata.uns["truth"]["gene_sets"]
    net = pd.DataFrame([(name, gene) for name, genes in sets.items() for gene in genes], columns=["source", "target"])
    with pytest.warns(UserWarning, match="'ora' takes no weights"):
        hs.pp.score_pathways(adata, net.assign(weight=-1.0), method="ora")


def test_a_decoupler_net_is_taken_with_its_weights() -> None:
    adata, sets = _section()
    net = _net(sets)
    hs.pp.score_pathways(adata, sets)
    hs.pp.score_pathways(adata, net, key_added="score_net")
    np.testing.assert_array_equal(adata.obsm["score_net"], adata.obsm["score_pathways"])
    net["weight"] = np.random.default_rng(0).normal(0, 1, len(net))
    hs.pp.score_pathways(adata, net, key_added="score_net")
    dense = net.pivot_table(index="target", columns="source", values="weight").reindex(adata.var_names).fillna(0)
    fit = stats.linregress(dense["NULL_0"], _logged(adata)[3])
    assert adata.obsm["score_net"]["NULL_0"].iloc[3] == pytest.approx(fit.slope / fit.stderr, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda net: net.rename(columns={"source": "set"}), "Rename its columns"),
        (lambda net: net.assign(weight="x"), "no numbers"),
        (lambda net: pd.concat([net, net.iloc[:1].assign(weight=2.0)]), "two weights"),
    ],
)
def test_a_broken_net_says_what_is_wrong(change: Any, said: str) -> None:
    adata, sets = _section()
    with pytest.raises(GenesError, match=said):
        hs.pp.score_pathways(adata, change(_net(sets).assign(weight=1.0)))


@pytest.mark.parametrize("form", ["csc", "dense", "ensembl"])
def test_container_and_kind_of_names_do_not_matter(form: str) -> None:
    adata, sets = _section()
    other = adata.copy()
    if form == "ensembl":
        other.var["symbol"] = other.var_names.to_numpy(dtype=object)
        other.var_names = [f"ENSG{k:011d}.4" for k in range(other.n_vars)]
    else:
        counts = adata.layers["counts"]
        other.layers["counts"] = counts.tocsc() if form == "csc" else counts.toarray()
    for one in (adata, other):
        hs.pp.score_pathways(one, sets)
    np.testing.assert_array_equal(other.obsm["score_pathways"], adata.obsm["score_pathways"])
    params = other.uns["histoscribe"]["obsm.score_pathways"]["params"]
    assert params["gene_names"] == ("var['symbol']" if form == "ensembl" else "var_names")
    members = adata.var_names.isin([g for genes in sets.values() for g in genes])
    share = adata.layers["counts"][:, members].sum() / adata.layers["counts"].sum()
    assert params["coverage"] == pytest.approx(share)


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
    with pytest.raises(OptionError, match="aucell"):
        hs.pp.score_pathways(adata, sets, method="ssgsea")


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
