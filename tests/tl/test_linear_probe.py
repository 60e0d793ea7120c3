"""Labels from vectors across patients."""

import logging
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV, LeaveOneGroupOut
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import histoscribe as hs
from histoscribe._errors import MissingError, OptionError
from histoscribe._keys import Keys, valid
from histoscribe.tl import _linear_probe, linear_probe
from histoscribe.tl._probe_logistic import Scaling

from ..toys import cached_toy
from .probing import CLASSES, cohort, section

REP = str(Keys.X_IMAGE)


def _score(adatas: Any, **options: Any) -> pd.DataFrame:
    return linear_probe(adatas, "label", **{"use_rep": REP, **options})


def _stacked(adatas: list[AnnData]) -> tuple[Any, Any, Any]:
    x = np.concatenate([a.obsm[REP] for a in adatas]).astype(float)
    label, patient = (np.concatenate([a.obs[key].astype(str) for a in adatas]) for key in ("label", Keys.PATIENT))
    return x, label, patient


def test_a_planted_link_is_found_on_patients_that_were_left_out() -> None:
    frame = _score(cohort())
    assert list(frame["test"]) == list("PQRS")
    assert (frame["balanced_accuracy"] > 0.8).all()
    assert set(frame["split"]) == {"patient"}
    assert (frame["chance"] == 1 / 3).all()


def test_without_a_link_it_is_chance_within_three_standard_errors() -> None:
    frame = _score(cohort("PQRSTUVW", signal=0.0))
    n = frame["n_test"].sum()
    assert abs(frame["balanced_accuracy"].mean() - 1 / 3) < 3 * np.sqrt(1 / 3 * 2 / 3 / n)


@pytest.mark.weekly
def test_permuted_labels_are_chance_within_three_standard_errors() -> None:
    adatas = cohort("PQRSTUVW")
    rng = np.random.default_rng(0)
    for one in adatas:
        one.obs["label"] = rng.permutation(one.obs["label"])
    frame = _score(adatas)
    n = frame["n_test"].sum()
    assert abs(frame["balanced_accuracy"].mean() - 1 / 3) < 3 * np.sqrt(1 / 3 * 2 / 3 / n)


def test_it_is_scikit_learns_grid_search_over_patients() -> None:
    adatas = cohort(signal=0.15)
    x, y, of = _stacked(adatas)
    strengths = [1e-3, 1e-1, 1e1]
    frame = _score(adatas, strengths=strengths).set_index("test")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=2000))
    for patient in "PQRS":
        train, test = of != patient, of == patient
        grid = {"logisticregression__C": strengths}
        search = GridSearchCV(pipeline, grid, cv=LeaveOneGroupOut(), scoring="balanced_accuracy")
        search.fit(x[train], y[train], groups=of[train])
        found = search.predict(x[test])
        row = frame.loc[patient]
        assert row["C"] == search.best_params_["logisticregression__C"]
        assert row["inner_accuracy"] == pytest.approx(search.best_score_, abs=0.02)
        assert row["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y[test], found), abs=0.02)
        assert row["accuracy"] == pytest.approx((y[test] == found).mean(), abs=0.02)
        assert row["macro_f1"] == pytest.approx(f1_score(y[test], found, average="macro"), abs=0.02)
        assert (row["n_train"], row["n_test"], row["inner"]) == (train.sum(), test.sum(), "unit")


def test_balanced_accuracy_is_the_recall_over_classes_that_are_there() -> None:
    adatas = cohort()
    adatas[0] = adatas[0][adatas[0].obs["label"] != "b"].copy()
    frame = _score(adatas, strengths=[1.0]).set_index("test")
    assert (frame.loc["P", "n_classes"], frame.loc["P", "n_classes_test"]) == (3, 2)
    assert frame["chance"].tolist() == [1 / 2, 1 / 3, 1 / 3, 1 / 3]
    assert frame["inner_accuracy"].isna().all()  # of one strength there is nothing to choose
    by_class = _score(adatas, strengths=[1.0], per_class=True)
    assert list(by_class.query("test == 'P'")["class"]) == ["a", "c"]
    means = by_class.groupby("test")["recall"].mean()
    np.testing.assert_allclose(frame["balanced_accuracy"], means)
    assert by_class.groupby("test")["n_test"].sum().equals(frame["n_test"])


def test_two_classes_are_told_apart() -> None:
    adatas = [one[one.obs["label"] != "b"].copy() for one in cohort()]
    assert (_score(adatas)["balanced_accuracy"] > 0.9).all()


def test_nothing_of_test_patients_reaches_training() -> None:
    adatas, seen = cohort(), []

    def spy(train: list[AnnData]) -> Any:
        seen.append({one.obs[Keys.PATIENT].iloc[0]: one.obsm[REP].copy() for one in train})
        assert all("label" not in one.obs for one in train)

        def encode(adata: AnnData) -> Any:
            assert "label" not in adata.obs
            return adata.obsm[REP]

        return encode

    first = _score(adatas, use_rep=spy)
    assert [sorted(one) for one in seen] == [[*"QRS"], [*"PRS"], [*"PQS"], [*"PQR"]]
    rng = np.random.default_rng(0)
    adatas[0].obsm[REP] = (1e3 * rng.normal(size=adatas[0].obsm[REP].shape)).astype(np.float32)
    adatas[0].obs["label"] = rng.permutation(adatas[0].obs["label"])
    again = _score(adatas, use_rep=spy)
    assert again["C"][0] == first["C"][0]
    assert all(np.array_equal(seen[0][name], seen[4][name]) for name in "QRS")
    assert again["balanced_accuracy"][0] < 0.6 < first["balanced_accuracy"][0]


def test_scaling_is_of_the_training_side() -> None:
    adatas = cohort()
    adatas[0].obsm[REP] = adatas[0].obsm[REP] + np.float32(100)  # test-side standardising would undo this
    frame = _score(adatas, folds=[("Q", "P"), ("Q", "R")]).set_index("test")
    assert frame.loc["P", "n_classes_test"] == 3
    assert frame.loc["P", "balanced_accuracy"] < 0.6 < frame.loc["R", "balanced_accuracy"]


def test_scaling_never_sees_rows_of_the_test_side(monkeypatch: pytest.MonkeyPatch) -> None:
    adatas = cohort()
    seen: list[bytes] = []

    class Spy(Scaling):
        def __init__(self, x: Any) -> None:
            seen.extend(row.tobytes() for row in x)
            super().__init__(x)

    monkeypatch.setattr(_linear_probe, "Scaling", Spy)
    _score(adatas, folds=[("Q", "P")])
    assert {row.astype(np.float64).tobytes() for row in adatas[1].obsm[REP]} == set(seen)


@pytest.mark.weekly
def test_classes_that_cannot_be_learnt_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    adatas = cohort()
    labels = [one.obs["label"].astype(object) for one in adatas]
    labels[0].iloc[:20] = "alone"
    labels[1].iloc[:3], labels[2].iloc[:3] = "rare", "rare"
    labels[2].iloc[10:30] = "unsure"
    labels[3].iloc[:7] = None
    for one, column in zip(adatas, labels, strict=True):
        one.obs["label"] = pd.Categorical(column)
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        frame = _score(adatas, drop=("unsure",))
    left_out = {"alone": "20 spots of one patient alone", "rare": "6 spots alone", "unsure": "20 spots, as asked"}
    assert frame.attrs["left_out"] == {"classes": left_out, "spots_without_label": 7}
    assert list(frame.attrs["classes"]) == list(CLASSES)
    assert sum(frame.attrs["classes"].values()) == 4 * 81 - 20 - 6 - 20 - 7 == frame["n_test"].sum()
    assert "20 spots of one patient alone" in caplog.text
    assert "7 spots without a label" in caplog.text


@pytest.mark.weekly
def test_rows_without_vectors_are_left_out_for_all_and_counted() -> None:
    adatas = cohort()
    adatas[0].obs[valid(REP)] = np.arange(81) >= 5
    for one in adatas:
        one.obsm["X_other"] = one.obsm[REP].copy()
    adatas[0].obsm["X_other"][70:] = np.nan
    frame = _score(adatas, use_rep={"one": REP, "other": "X_other", "both": [REP, "X_other"]})
    of = frame[frame["test"] == "P"]
    assert list(of["rep"]) == ["one", "other", "both"]
    assert set(of["n_test"]) == {81 - 5 - 11}
    assert set(of["n_left_out"]) == {16}
    assert set(frame[frame["test"] == "Q"]["n_train"]) == {3 * 81 - 16}


def test_columns_that_a_section_lacks_are_left_out_of_all() -> None:
    adatas = cohort()
    for one in adatas:
        one.obsm["scores"] = pd.DataFrame(one.obsm[REP], index=one.obs_names, columns=list("abcdef"))
    adatas[1].obsm["scores"]["c"] = np.nan
    frame = _score(adatas, use_rep="scores")
    for one in adatas:
        one.obsm["kept"] = one.obsm[REP][:, [0, 1, 3, 4, 5]]
    assert frame["balanced_accuracy"].equals(_score(adatas, use_rep="kept")["balanced_accuracy"])


@pytest.mark.weekly
def test_one_anndata_with_all_sections_is_the_list() -> None:
    adatas = cohort()
    whole = ad.concat(adatas, uns_merge="unique")
    pd.testing.assert_frame_equal(_score(whole), _score(adatas))


def test_names_of_representations() -> None:
    adatas = cohort("PQ")
    assert set(_score(adatas, use_rep=[REP, "spatial"])["rep"]) == {"X_image+spatial"}

    def mine(train: list[AnnData]) -> Any:
        return lambda adata: adata.obsm[REP]

    assert set(_score(adatas, use_rep=mine)["rep"]) == {"mine"}


def test_folds_by_name_and_what_choices_are_made_on(caplog: pytest.LogCaptureFixture) -> None:
    adatas = [*cohort("PQ"), section("P2", "P"), section("R1", "R")]
    folds = {"P to Q": ("P", "Q"), "Q to P": ("Q", ["P"]), "both to R": (["P", "Q"], "R")}
    frame = _score(adatas, folds=folds)
    assert list(frame["test"]) == list(folds)
    assert list(frame["inner"]) == ["section", "block", "unit"]
    assert list(frame["n_train"]) == [162, 81, 243]
    assert not caplog.records


def test_sections_of_one_patient_on_both_sides_are_labelled(caplog: pytest.LogCaptureFixture) -> None:
    adatas = [*cohort("PQ"), section("P2", "P")]
    frame = _score(adatas, patients="library_id").set_index("test")
    assert frame["split"].to_dict() == {"P1": "same patient", "P2": "same patient", "Q1": "patient"}
    assert "interpolation" in caplog.text
    for one in adatas:
        del one.obs[Keys.PATIENT]
    assert set(_score(adatas, patients="library_id")["split"]) == {"patients not known"}


def test_many_patients_are_left_out_in_five_groups() -> None:
    from histoscribe.tl._probe_folds import inner_groups, pieces_of

    adatas = [section(f"{p}1", p, n=n) for p, n in zip("PQRSTUV", (81, 81, 81, 25, 25, 49, 81), strict=True)]
    groups, kind = inner_groups(pieces_of(adatas, Keys.PATIENT, Keys.LIBRARY_ID))
    sizes = np.bincount(np.concatenate(groups))
    assert kind == "unit"
    assert sorted(sizes) == [81, 81, 81, 81, 99]


def test_interval_holds_the_estimate_and_is_of_blocks() -> None:
    adatas = cohort(n=400, signal=0.1)
    plain = _score(adatas, strengths=[1.0])
    frame = _score(adatas, strengths=[1.0], n_bootstrap=100)
    assert (frame["low"] < frame["balanced_accuracy"]).all()
    assert (frame["balanced_accuracy"] < frame["high"]).all()
    pd.testing.assert_frame_equal(frame[plain.columns], plain)
    again = _score(adatas, strengths=[1.0], n_bootstrap=100)
    assert again.equals(frame)


def test_nothing_is_written() -> None:
    adatas = cohort("PQ")
    before = [one.copy() for one in adatas]
    _score(adatas, use_rep=lambda train: lambda adata: adata.obsm.pop(REP))
    for one, other in zip(adatas, before, strict=True):
        pd.testing.assert_frame_equal(one.obs, other.obs)
        np.testing.assert_array_equal(one.obsm[REP], other.obsm[REP])
        assert list(one.uns) == list(other.uns)


def _without(adatas: list[AnnData], column: str) -> list[AnnData]:
    for one in adatas:
        del one.obs[column]
    return adatas


def _with(adatas: list[AnnData], column: str, value: Any) -> list[AnnData]:
    for one in adatas:
        one.obs[column] = value
    return adatas


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda a: _score(a, patients="donor"), MissingError, r"obs\['donor'\].*patients="),
        (lambda a: _score(_without(a, Keys.PATIENT)), MissingError, r"obs\['patient'\]"),
        (lambda a: _score(_with(a, Keys.PATIENT, "P")), OptionError, r"found \['P'\] alone"),
        (lambda a: _score(_with(a, Keys.PATIENT, [None] * 81)), OptionError, "81 missing"),
        (lambda a: _score(_without(a, "label")), MissingError, r"obs\['label'\]"),
        (lambda a: _score(_with(a, "label", "same")), OptionError, "two or more classes"),
        (lambda a: _score(_with(a, "label", [None] * 81)), OptionError, "324 spots without a label"),
        (lambda a: _score(_with(a, "label", np.linspace(0, 1, 81))), OptionError, r"numbers \(float64\)"),
        (lambda a: _score(_with(a, "label", np.arange(81) % 3)), OptionError, r"numbers \(int64\).*astype"),
        (lambda a: _score(a, drop=("aa",)), OptionError, "drop: found 'aa'"),
        (lambda a: _score(a, drop=("c", "undetermned")), OptionError, "'undetermned'"),
        (lambda a: _score(a, use_rep="X_no"), MissingError, r"X_no.*Name a slot of obsm"),
        (lambda a: _score(a, use_rep={}), OptionError, "use_rep: found nothing"),
        (lambda a: _score(a, use_rep={"mine": 3}), OptionError, "'mine': 3"),
        (lambda a: _score(a, use_rep=lambda t: lambda x: x.obsm[REP][:3]), OptionError, r"shape \(3, 6\)"),
        (lambda a: _score(a, folds=[("P", ["P", "Q"])]), OptionError, r"\['P'\] in train and in test"),
        (lambda a: _score(a, folds=[("P", "Z")]), OptionError, r"\['Z'\] in 'Z'"),
        (lambda a: _score(a, folds=[("P", [])]), OptionError, "nothing to train or to test on"),
        (lambda a: _score(a, folds=[("P", "Q"), ("R", "Q")]), OptionError, "a name of its own"),
        (lambda a: _score(a, folds=["P"]), OptionError, "folds"),
        (lambda a: _score(a, strengths=[]), OptionError, "strengths"),
        (lambda a: _score(a, strengths=[-1.0]), OptionError, "strengths"),
        (lambda a: _score(a, min_spots=0), OptionError, "min_spots"),
        (lambda a: _score(a, n_bootstrap=-1), OptionError, "n_bootstrap"),
        (lambda a: _score([]), OptionError, "empty list"),
    ],
)
def test_bad_input_is_refused(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call(cohort())


@pytest.mark.parametrize("differs", ["encoder", "stain"])
def test_vectors_that_were_made_in_different_ways_are_refused(differs: str) -> None:
    sections = [section("P1", "P"), section("Q1", "Q")]
    for one, hashes in zip(sections, ({"encoder": "e"}, {"encoder": "e", differs: "other"}), strict=True):
        one.uns["histoscribe"] = {f"obsm.{REP}": {"hashes": hashes}}
    with pytest.raises(OptionError, match=r"other.*expected one for all sections"):
        _score(sections)


def test_vectors_of_different_width_are_refused() -> None:
    with pytest.raises(OptionError, match=r"widths \[4, 6\]"):
        _score([section("P1", "P"), section("Q1", "Q", d=4)])


@pytest.mark.weekly
def test_toy_domains_are_read_from_genes_and_not_from_coordinates() -> None:
    slides = cached_toy(n_slides=3, n_spots=200)

    def pca(train: list[AnnData]) -> Any:
        model = hs.tl.fit_pca(train, n_comps=10)
        return lambda adata: hs.tl.encode_genes(adata, model, copy=True).obsm["X_genes"]  # type: ignore[union-attr]

    reps = {"PCA": pca, "coordinates": "spatial"}
    scores = linear_probe(slides, "true_domain", use_rep=reps).groupby("rep")["balanced_accuracy"].mean()
    assert scores["PCA"] > 0.9
    assert scores["coordinates"] < 0.5


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore:var_names:UserWarning")  # genes differ a little between these sections
def test_regions_of_real_patients_are_read_from_genes_above_chance(data: Path) -> None:
    adatas = [hs.datasets.her2st(name) for name in ("B1", "C1", "D1")]
    for one in adatas:  # depth is the plainest baseline of all
        one.obsm["depth"] = np.log1p(np.asarray(one.layers[Keys.COUNTS].sum(axis=1), dtype=float))

    def pca(train: list[AnnData]) -> Any:
        model = hs.tl.fit_pca(train, n_comps=10)
        return lambda adata: hs.tl.encode_genes(adata, model, copy=True).obsm["X_genes"]  # type: ignore[union-attr]

    frame = linear_probe(adatas, "region", use_rep={"PCA": pca, "depth": "depth"}, drop=("undetermined",))
    scores = frame.groupby("rep")["balanced_accuracy"].mean()
    assert set(frame.attrs["left_out"]["classes"]) >= {"undetermined"}
    assert scores["PCA"] > max(scores["depth"], frame["chance"].mean() + 0.05)
