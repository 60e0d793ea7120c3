"""Rows of the catalogue: probes, and what they train on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError, MissingError, OptionError

from ..tl.probing import cohort, section
from .row import Defined, Elsewhere, Raises, Row

REP = "X_image"
GENES = tuple(f"G{k:02d}" for k in range(10))
Adatas = list[AnnData]


def labels(adatas: Adatas, **options: Any) -> pd.DataFrame:
    """Probe the labels."""
    return hs.tl.linear_probe(adatas, "label", **{"use_rep": REP, "strengths": [1.0], **options})


def genes(adatas: Adatas, **options: Any) -> pd.DataFrame:
    """Probe the genes."""
    return hs.tl.expression_probe(adatas, **{"genes": GENES, "use_rep": REP, "alphas": [1.0], **options})


BOTH: dict[str, Callable[..., Any]] = {"tl.linear_probe": labels, "tl.expression_probe": genes}
LABELS: dict[str, Callable[[Adatas], Any]] = {"tl.linear_probe": labels}


def changed(change: Callable[[AnnData, int], Any], patients: str = "PQR", **options: Any) -> Callable[[], Adatas]:
    """Sections, each of which was changed."""

    def build() -> Adatas:
        adatas = cohort(patients, **options)
        for k, one in enumerate(adatas):
            change(one, k)
        return adatas

    return build


def _column(name: str, value: Any) -> Callable[[AnnData, int], None]:
    return lambda one, k: one.obs.__setitem__(name, value)


def _some_missing(one: AnnData, k: int) -> None:
    column = one.obs["label"].astype(object)
    column.iloc[: 7 * (k + 1)] = None
    one.obs["label"] = pd.Categorical(column)


def _left_out(adatas: Adatas, frame: pd.DataFrame) -> None:
    kept = [one[one.obs["label"].notna()].copy() for one in adatas]
    pd.testing.assert_frame_equal(frame, labels(kept), check_exact=False)
    assert frame.attrs["left_out"]["spots_without_label"] == 7 + 14 + 21


def _no_vector(one: AnnData, k: int) -> None:
    one.obsm[REP][: 5 * (k + 1)] = np.nan


def _without_vector(adatas: Adatas, returned: pd.DataFrame) -> None:
    kept = [one[np.isfinite(one.obsm[REP]).all(axis=1)].copy() for one in adatas]
    probe = labels if "balanced_accuracy" in returned else genes
    expected = probe(kept)
    columns = ["balanced_accuracy"] if probe is labels else ["gene", "pearson"]
    pd.testing.assert_frame_equal(returned[columns], expected[columns], check_exact=False)
    assert set(returned["n_left_out"]) == {5, 10, 15}


def _constant_gene(one: AnnData, k: int) -> None:
    one.X[:, 3] = 0  # a gene that no spot expresses


def _is_constant(adatas: Adatas, frame: pd.DataFrame) -> None:
    flat = frame[frame["gene"] == "G03"]
    assert flat["constant"].all()
    assert flat["pearson"].isna().all()
    assert frame[frame["gene"] != "G03"]["pearson"].notna().all()
    others = hs.metrics.summarize_expression(frame[frame["gene"] != "G03"])
    means = hs.metrics.summarize_expression(frame)
    np.testing.assert_allclose(means["pearson"], others["pearson"])


def _same_patient(adatas: Adatas) -> tuple[pd.DataFrame, pd.DataFrame]:
    options = {"patients": "library_id"}
    return labels(adatas, **options), genes(adatas, **options)


def _labelled(_: Any, returned: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    assert all(set(frame["split"]) == {"same patient"} for frame in returned)


def _seen_by_functions(adatas: Adatas) -> list[set[str]]:
    seen: list[set[str]] = []

    def learned(train: Adatas) -> Callable[[AnnData], Any]:
        seen.append({str(one.obs["patient"].iloc[0]) for one in train})
        return lambda adata: adata.obsm[REP]

    labels(adatas, use_rep=learned)
    genes(adatas, use_rep=learned)
    return seen


def _only_training(_: Any, seen: list[set[str]]) -> None:
    assert seen == 2 * [{"Q", "R"}, {"P", "R"}, {"P", "Q"}]


def _shuffle(one: AnnData, k: int) -> None:
    rng = np.random.default_rng(k)
    one.obs["label"] = rng.permutation(one.obs["label"])
    one.X = one.X[rng.permutation(one.n_obs)]


def _chance(adatas: Adatas, frame: pd.DataFrame) -> None:
    if "balanced_accuracy" in frame:
        error = np.sqrt(1 / 3 * 2 / 3 / frame["n_test"].sum())
        assert abs(frame["balanced_accuracy"].mean() - 1 / 3) < 3 * error
        return
    n = frame.drop_duplicates("section")["n_test"].sum()  # genes follow few hidden numbers: they count as one
    assert abs(frame["pearson"].mean()) < 3 / np.sqrt(n)


def _pca(train: Adatas) -> Callable[[AnnData], Any]:
    model = hs.tl.fit_pca(train, n_comps=5)

    def encode(adata: AnnData) -> Any:
        encoded: Any = hs.tl.encode_genes(adata, model, copy=True)
        return encoded.obsm["X_genes"]

    return encode


BAD_NUMBERS = (0, -1.0, float("nan"), float("inf"), 10**400)

ROWS: list[Row | Elsewhere] = [
    Row(
        "T2",
        "labels of one class",
        changed(_column("label", "tumour")),
        LABELS,
        Raises(OptionError, r"obs\['label'\]", r"Check the column", "tumour"),
    ),
    Row(
        "T2",
        "a class that only one patient has",
        changed(lambda one, k: one.obs.__setitem__("label", "ab"[k] if k < 2 else "a")),
        LABELS,
        Raises(OptionError, r"obs\['label'\]", r"Check the column", "one patient alone"),
    ),
    Row(
        "T3",
        "labels missing for some spots",
        changed(_some_missing),
        LABELS,
        Defined("these spots are left out and counted; the rest as if they were not there", _left_out),
    ),
    Row(
        "T3",
        "labels missing for all spots",
        changed(_column("label", None)),
        LABELS,
        Raises(OptionError, r"obs\['label'\]", r"Check the column", "243 spots without a label"),
    ),
    Row(
        "T3",
        "vectors missing for some spots",
        changed(_no_vector),
        BOTH,
        Defined("these spots are left out and counted; the rest as if they were not there", _without_vector),
    ),
    Row(
        "T4",
        "no column of that name",
        changed(lambda one, k: one.obs.__delitem__("label")),
        LABELS,
        Raises(MissingError, r"obs\['label'\]", "Name one of these", "library_id"),
    ),
    Row(
        "T4",
        "numbers in place of classes",
        changed(lambda one, k: one.obs.__setitem__("label", np.linspace(0, 1, one.n_obs))),
        LABELS,
        Raises(OptionError, r"obs\['label'\]", "astype", "numbers"),
    ),
    Row(
        "T4",
        "genes that no section has",
        changed(lambda one, k: None),
        {"tl.expression_probe": lambda adatas: genes(adatas, genes=["G01", "TP53"])},
        Raises(GenesError, "genes", "Leave these out", "TP53"),
    ),
    Row(
        "T4",
        "a target gene that is constant",
        changed(_constant_gene),
        {"tl.expression_probe": lambda adatas: genes(adatas, genes=["G01", "G03", "G05"])},
        Defined("its correlation is NaN, it is flagged, and means leave it out", _is_constant),
    ),
    Row(
        "T5",
        "nobody says whose sections they are",
        changed(lambda one, k: one.obs.__delitem__("patient")),
        BOTH,
        Raises(MissingError, r"obs\['patient'\]", "patients="),
    ),
    Row(
        "T5",
        "the patient of some spots missing",
        changed(lambda one, k: one.obs.__setitem__("patient", [None, *["P"] * 80])),
        BOTH,
        Raises(OptionError, r"obs\['patient'\]", "Fill them in", "1 missing"),
    ),
    Row(
        "T5",
        "all sections of one patient",
        changed(_column("patient", "P")),
        BOTH,
        Raises(OptionError, r"obs\['patient'\]", "another patient", r"\['P'\] alone"),
    ),
    Row(
        "T5",
        "a patient in training and in test",
        changed(lambda one, k: None),
        {name: partial(probe, folds=[(["P", "Q"], ["Q", "R"])]) for name, probe in BOTH.items()},
        Raises(OptionError, "folds", "one side", r"\['Q'\] in train and in test"),
    ),
    Row(
        "T5",
        "sections of one patient in training and in test",
        lambda: [section("P1", "P"), section("P2", "P")],
        {"tl.linear_probe, tl.expression_probe": _same_patient},
        Defined("each line of the result says 'same patient'", _labelled),
    ),
    Row(
        "T6",
        "vectors that are learned from the data",
        changed(lambda one, k: None),
        {"tl.linear_probe, tl.expression_probe": _seen_by_functions},
        Defined("the function that learns gets sections of training patients alone", _only_training),
    ),
    Row(
        "T6",
        "labels and counts permuted over the spots",
        changed(_shuffle, "PQRSTUVW"),
        {**BOTH, "tl.linear_probe on tl.fit_pca": lambda adatas: labels(adatas, use_rep=_pca)},
        Defined("chance, within three standard errors", _chance),
    ),
    Row(
        "T6",
        "no link between vectors, labels and counts",
        changed(lambda one, k: None, "PQRSTUVW", signal=0.0),
        BOTH,
        Defined("chance, within three standard errors", _chance),
    ),
    *(
        Row(
            "T15",
            f"a penalty of {str(value)[:6]}",
            changed(lambda one, k: None),
            {
                "tl.linear_probe": partial(labels, strengths=[1.0, value]),
                "tl.expression_probe": partial(genes, alphas=[1.0, value]),
            },
            Raises(OptionError, "strengths|alphas", "Leave it out"),
        )
        for value in BAD_NUMBERS
    ),
]
