"""Genes from vectors across patients."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import pearsonr, spearmanr
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

import histoscribe as hs
from histoscribe._errors import CountsError, GenesError, MissingError, OptionError
from histoscribe._keys import Keys, valid
from histoscribe.tl import expression_probe

from .probing import N_GENES, cohort, section

REP = str(Keys.X_IMAGE)


def _score(adatas: Any, genes: Any = 8, **options: Any) -> pd.DataFrame:
    return expression_probe(adatas, genes, **{"use_rep": REP, **options})


def _cp10k(adata: AnnData) -> pd.DataFrame:
    counts = np.asarray(adata.X)
    return pd.DataFrame(np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)), columns=adata.var_names)


def test_a_planted_link_is_found_on_patients_that_were_left_out() -> None:
    frame = _score(cohort())
    assert len(frame) == 4 * 8
    assert frame["pearson"].mean() > 0.6
    assert frame["spearman"].mean() > 0.6
    assert frame["mse"].mean() < 0.7


def test_without_a_link_it_is_chance_within_three_standard_errors() -> None:
    frame = _score(cohort("PQRSTUVW", signal=0.0), N_GENES)
    by_patient = frame.groupby("test")["pearson"].mean()
    assert abs(by_patient.mean()) < 3 / np.sqrt(len(frame) * 81)
    assert frame["mse"].mean() > 0.95


def test_shuffled_pairs_are_chance_within_three_standard_errors() -> None:
    adatas = cohort("PQRSTUVW")
    rng = np.random.default_rng(0)
    for one in adatas:
        one.obsm[REP] = rng.permutation(one.obsm[REP])
    by_patient = _score(adatas).groupby("test")["pearson"].mean()
    assert abs(by_patient.mean()) < 3 * by_patient.std() / np.sqrt(8)


def test_it_is_scikit_learns_ridge_and_scores_are_scipys() -> None:
    adatas = cohort()
    frame = _score(adatas, alphas=[0.01]).set_index(["test", "gene"])
    train, test = adatas[:3], adatas[3]
    genes = list(frame.loc["S"].index)
    scaler = StandardScaler().fit(np.concatenate([a.obsm[REP] for a in train]).astype(float))
    x = [scaler.transform(a.obsm[REP].astype(float)) for a in adatas]
    y = [_cp10k(a)[genes].to_numpy() for a in adatas]
    ridge = Ridge(alpha=0.01 * 243).fit(np.concatenate(x[:3]), np.concatenate(y[:3]))
    found, spread = ridge.predict(x[3]), np.concatenate(y[:3]).std(axis=0)
    assert test.n_obs == frame.loc[("S", genes[0]), "n_test"]
    for k, gene in enumerate(genes):
        row = frame.loc[("S", gene)]
        assert row["alpha"] == pytest.approx(2.43)
        assert row["pearson"] == pytest.approx(pearsonr(found[:, k], y[3][:, k])[0], abs=1e-6)
        assert row["spearman"] == pytest.approx(spearmanr(found[:, k], y[3][:, k])[0], abs=1e-6)
        assert row["mse"] == pytest.approx(((found[:, k] - y[3][:, k]) ** 2).mean() / spread[k] ** 2, rel=1e-5)
        assert row["mae"] == pytest.approx(np.abs(found[:, k] - y[3][:, k]).mean() / spread[k], rel=1e-5)


@pytest.mark.weekly
@pytest.mark.parametrize("wide", [False, True])
def test_penalty_is_that_of_a_loop_over_training_patients(wide: bool) -> None:
    adatas = cohort("PQRS", signal=0.3, d=200 if wide else 40, n=49)
    alphas = [1e-3, 1e-1, 1.0, 1e2]
    genes = [f"G{k:02d}" for k in range(6)]
    frame = _score(adatas, genes, alphas=alphas)
    x, y = (
        np.concatenate([a.obsm[REP] for a in adatas]).astype(float),
        np.concatenate([_cp10k(a)[genes] for a in adatas]),
    )
    of = np.repeat(np.arange(4), 49)
    for test in range(4):
        train = of != test
        scaler = StandardScaler().fit(x[train])
        xs = scaler.transform(x)
        mean = []
        for alpha in alphas:
            r = []
            for left in set(range(4)) - {test}:
                inside, held = train & (of != left), of == left
                found = Ridge(alpha=alpha * inside.sum()).fit(xs[inside], y[inside]).predict(xs[held])
                r.append(np.mean([pearsonr(found[:, k], y[held][:, k])[0] for k in range(len(genes))]))
            mean.append(np.mean(r))
        best = alphas[int(np.argmax(mean))]
        own = frame[frame["test"] == "PQRS"[test]]
        assert set(own["alpha"].round(6)) == {round(best * 147, 6)}
        found = Ridge(alpha=best * 147).fit(xs[train], y[train]).predict(xs[of == test])
        np.testing.assert_allclose(
            own["pearson"], [pearsonr(f, t)[0] for f, t in zip(found.T, y[of == test].T, strict=True)], atol=1e-6
        )


def test_hest_is_its_recipe_step_by_step() -> None:
    adatas = [*cohort("PQ", d=20), section("Q2", "Q", d=20)]
    genes = [f"G{k:02d}" for k in range(5)]
    frame = _score(adatas, genes, protocol="hest", folds=[("P", "Q")])
    x = [a.obsm[REP] for a in adatas]
    y = [np.log1p(a.to_df()[genes].to_numpy()) for a in adatas]
    scaler = StandardScaler().fit(x[0])
    pca = PCA(20, random_state=1).fit(scaler.transform(x[0]))  # 256 of HEST are more than the vectors have
    ridge = Ridge(solver="lsqr", alpha=100 / (20 * 5), fit_intercept=False, max_iter=1000)
    ridge.fit(pca.transform(scaler.transform(x[0])), y[0])
    found = ridge.predict(pca.transform(scaler.transform(np.concatenate(x[1:]))))
    expected = [pearsonr(f, t)[0] for f, t in zip(found.T, np.concatenate(y[1:]).T, strict=True)]
    np.testing.assert_allclose(frame["pearson"], expected, atol=1e-4)
    assert list(frame["gene"]) == genes
    assert set(frame["section"]) == {"all"}
    assert set(frame["alpha"]) == {1.0}
    assert frame["mse"].isna().all()


@pytest.mark.weekly
def test_hest_chooses_scanpys_variable_genes_of_common_ones() -> None:
    adatas = cohort("PQR")
    for one in adatas:
        one.X = np.asarray(one.X) * (np.arange(N_GENES) > 10)  # in none of the spots
        one.X[4:, 12] = 0  # in fewer than a tenth of them
        one.var_names = ["BLANK_1" if name == "G11" else name for name in one.var_names]
    frame = _score(adatas, 6, protocol="hest", folds=[(["P", "Q"], "R")])
    common = [name for name in sorted(adatas[0].var_names) if name > "G12"]
    stacked = AnnData(
        np.concatenate([a.to_df()[common].to_numpy() for a in adatas[:2]]), var=pd.DataFrame(index=common)
    )
    sc.pp.log1p(stacked)
    sc.pp.highly_variable_genes(stacked, n_top_genes=6)
    assert list(frame["gene"]) == list(stacked.var_names[stacked.var["highly_variable"]])
    with pytest.raises(GenesError, match="17 genes in a tenth"):
        _score(adatas, 18, protocol="hest")


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_genes_are_the_most_variable_within_training_sections(form: Any) -> None:
    adatas = cohort()
    variance = np.mean([_cp10k(one).var(ddof=0) for one in adatas[1:]], axis=0)
    expected = list(adatas[0].var_names[np.argsort(-variance)[:8]])
    rng = np.random.default_rng(0)
    adatas[0].X = rng.poisson(3, adatas[0].shape) * (rng.random(adatas[0].shape) < 0.3)  # what is left out has no say
    for one in adatas:
        one.X = form(np.asarray(one.X, dtype=np.float32))
    frame = _score(adatas)
    assert list(frame[frame["test"] == "P"]["gene"]) == expected


def test_genes_are_joined_by_name_and_depth_is_of_all() -> None:
    adatas = cohort()
    first = _score(adatas, ["G03", "G01"])
    adatas[1] = adatas[1][:, adatas[1].var_names[::-1]].copy()
    pd.testing.assert_frame_equal(_score(adatas, ["G03", "G01"]), first)
    more = ad.concat(
        [adatas[2], AnnData(np.full((81, 1), 5.0), obs=adatas[2].obs[[]], var=pd.DataFrame(index=["H"]))],
        axis=1,
        merge="first",
        uns_merge="first",
    )
    frame = _score([*adatas[:2], more, adatas[3]], ["G03", "G01"])
    assert set(frame["gene"]) == {"G01", "G03"}
    assert not frame["pearson"].equals(first["pearson"])


def test_nothing_of_test_patients_reaches_training() -> None:
    adatas, seen = cohort(), []

    def spy(train: list[AnnData]) -> Any:
        seen.append({one.obs[Keys.PATIENT].iloc[0]: np.asarray(one.X).copy() for one in train})
        return lambda adata: adata.obsm[REP]

    first = _score(adatas, use_rep=spy)
    assert [sorted(one) for one in seen] == [[*"QRS"], [*"PRS"], [*"PQS"], [*"PQR"]]
    rng = np.random.default_rng(0)
    adatas[0].X = rng.poisson(5, adatas[0].shape).astype(np.float32)
    adatas[0].obsm[REP] = rng.normal(size=adatas[0].obsm[REP].shape).astype(np.float32)
    again = _score(adatas, use_rep=spy)
    assert all(np.array_equal(seen[0][name], seen[4][name]) for name in "QRS")
    before, after = (frame[frame["test"] == "P"] for frame in (first, again))
    assert list(before["gene"]) == list(after["gene"])
    assert set(before["alpha"]) == set(after["alpha"])
    assert after["pearson"].mean() < 0.2 < before["pearson"].mean()


def test_functions_never_see_target_genes_nor_what_was_made_of_counts() -> None:
    adatas = cohort("PQ")
    hs.tl.encode_genes(adatas, hs.tl.fit_pca(adatas, n_comps=4))
    shown: list[AnnData] = []

    def spy(train: list[AnnData]) -> Any:
        shown.extend(train)
        return lambda adata: (shown.append(adata), adata.obsm[REP])[1]  # type: ignore[func-returns-value]

    frame = _score(adatas, use_rep=spy)
    hidden = [set(frame[frame["test"] == test]["gene"]) for test in "PPPQQQ"]
    assert len(shown) == 6
    for one, genes in zip(shown, hidden, strict=True):
        assert one.n_vars == N_GENES - 8
        assert not set(one.var_names) & genes
        assert sorted(one.obsm) == [REP, "spatial"]
        assert one.raw is None
    assert Keys.X_GENES in adatas[0].obsm


def test_slots_made_from_counts_are_refused() -> None:
    adatas = cohort("PQR")
    hs.tl.encode_genes(adatas, hs.tl.fit_pca(adatas, n_comps=4))
    with pytest.raises(OptionError, match=r"obsm\['X_genes'\], made from counts by tl.encode_genes"):
        _score(adatas, use_rep=[REP, "X_genes"])
    model = hs.tl.fuse(adatas[:2], hs.nn.Contrastive(), train=hs.nn.TrainConfig(epochs=1, val_fraction=0))
    hs.tl.embed(adatas[2], model, modality="image")
    with pytest.raises(OptionError, match=r"made from counts by tl\.fuse"):
        _score(adatas, use_rep="X_fused_image")  # that model was trained on the patients that are left out
    assert len(_score(adatas, use_rep="X_fused_image", folds=[(["P", "Q"], "R")])) == 8


def test_genes_that_are_not_targets_may_predict_the_others() -> None:
    def others(train: list[AnnData]) -> Any:
        model = hs.tl.fit_pca(train, n_comps=5)
        return lambda adata: hs.tl.encode_genes(adata, model, copy=True).obsm["X_genes"]  # type: ignore[union-attr]

    assert _score(cohort(), use_rep=others)["pearson"].mean() > 0.5


def test_sections_are_scored_apart_and_together() -> None:
    adatas = [*cohort("PQ"), section("Q2", "Q")]
    frame = _score(adatas, folds=[("P", "Q")])
    assert list(frame["section"]) == ["Q1"] * 8 + ["Q2"] * 8
    assert set(frame["inner"]) == {"block"}
    one, two = (frame[frame["section"] == name].reset_index() for name in ("Q1", "Q2"))
    assert one["pearson_pooled"].equals(two["pearson_pooled"])
    whole = ad.concat(adatas[1:], uns_merge="unique")
    whole.obs[Keys.LIBRARY_ID] = "both"
    whole.uns[Keys.LIBRARIES] = {"both": adatas[1].uns[Keys.LIBRARIES]["Q1"]}
    together = _score([adatas[0], whole], folds=[("P", "Q")])
    np.testing.assert_allclose(together["pearson"], one["pearson_pooled"])
    assert set(one["pearson"]) != set(one["pearson_pooled"])


def test_rows_without_vectors_or_counts_are_left_out_and_counted() -> None:
    adatas = cohort()
    adatas[0].X[:4] = 0
    adatas[0].obs[valid(REP)] = np.arange(81) >= 10
    genes = ["G03", "G05", "G07"]
    frame = _score(adatas, genes)
    own = frame[frame["test"] == "P"]
    assert set(own["n_test"]) == {71}
    assert set(own["n_left_out"]) == {10}
    assert set(frame[frame["test"] == "Q"]["n_train"]) == {3 * 81 - 10}
    kept = _score([adatas[0][10:].copy(), *adatas[1:]], genes)
    np.testing.assert_allclose(frame["pearson"], kept["pearson"])


def test_constant_genes_are_said_to_be_so() -> None:
    adatas = cohort()
    adatas[0].X[:, 3] = 0
    frame = _score(adatas, ["G03", "G04"]).set_index(["test", "gene"])
    assert frame.loc[("P", "G03"), "constant"]
    assert np.isnan(frame.loc[("P", "G03"), "pearson"])
    assert not frame.loc[("Q", "G03"), "constant"]
    assert np.isfinite(frame["mse"]).all()


@pytest.mark.parametrize("protocol", ["histoscribe", "hest"])
def test_interval_is_of_blocks_and_holds_the_mean(protocol: str) -> None:
    frame = _score(cohort(n=400, signal=0.3), protocol=protocol, n_bootstrap=50)
    for _, own in frame.groupby("test"):
        assert len(set(own["low"])) == 1
        assert own["low"].iloc[0] < own["pearson"].mean() < own["high"].iloc[0]


def test_one_anndata_with_all_sections_is_the_list_and_nothing_is_written() -> None:
    adatas = cohort()
    whole = ad.concat(adatas, uns_merge="unique")
    before = whole.copy()
    pd.testing.assert_frame_equal(_score(whole), _score(adatas))
    np.testing.assert_array_equal(whole.X, before.X)
    assert list(whole.uns) == list(before.uns)
    assert list(whole.obsm) == list(before.obsm)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda a: _score(a, 0), OptionError, "genes: found 0"),
        (lambda a: _score(a, 31), OptionError, "at most 30"),
        (lambda a: _score(a, ["G01", "no"]), GenesError, r"1 of 2.*\['no'\]"),
        (lambda a: _score(a, []), GenesError, "0 of 0"),
        (lambda a: _score(a, protocol="other"), OptionError, "protocol"),
        (lambda a: _score(a, alphas=[]), OptionError, "alphas"),
        (lambda a: _score(a, alphas=[0]), OptionError, "alphas"),
        (lambda a: _score(a, layer="no"), CountsError, "no"),
        (lambda a: _score(a, patients="donor"), MissingError, "donor"),
        (lambda a: _score(a, use_rep="X_no"), MissingError, "X_no"),
        (lambda a: _score(a, n_bootstrap=0.5), OptionError, "n_bootstrap"),
        (lambda a: _score(a, use_rep=lambda t: lambda x: np.full((81, 2), np.nan)), OptionError, "0 spots to train on"),
    ],
)
def test_bad_input_is_refused(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(cohort("PQ"))


def test_sections_that_share_no_genes_are_refused() -> None:
    adatas = cohort("PQ")
    adatas[1].var_names = [f"ENSG{k}" for k in range(N_GENES)]
    with pytest.raises(GenesError, match="no gene in all sections"):
        _score(adatas)
