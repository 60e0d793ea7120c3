"""Names of what to colour by."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from histoscribe._errors import GenesError, MissingError, OptionError
from histoscribe.pl._lookup import lookup


def section() -> AnnData:
    adata = AnnData(sp.csr_matrix(np.arange(6, dtype=np.float32).reshape(3, 2)))
    adata.var_names = ["EPCAM", "ERBB2"]
    adata.layers["counts"] = np.array([[7, 8], [9, 10], [11, 12]])
    adata.obs["domain"] = pd.Categorical(["b", None, "a"], categories=["b", "a"])
    adata.obs["ERBB2"] = [0.5, 1.5, 2.5]
    adata.obsm["score_hallmark"] = pd.DataFrame(
        {"HALLMARK_HYPOXIA": [1.0, 2.0, np.nan], "a/b": [0.0, 1.0, 2.0]}, index=adata.obs_names
    )
    adata.obsm["predicted_hallmark"] = adata.obsm["score_hallmark"][["a/b"]] + 1
    adata.obsm["padj_hallmark"] = adata.obsm["score_hallmark"] / 10
    adata.obsm["X_fused"] = np.arange(12.0).reshape(3, 4)
    return adata


@pytest.mark.parametrize(
    ("name", "source", "values"),
    [
        ("EPCAM", "gene:EPCAM", [0, 2, 4]),
        ("gene:ERBB2", "gene:ERBB2", [1, 3, 5]),
        ("obs:ERBB2", "obs:ERBB2", [0.5, 1.5, 2.5]),
        ("HALLMARK_HYPOXIA", "obsm:score_hallmark/HALLMARK_HYPOXIA", [1, 2, np.nan]),
        ("obsm:score_hallmark/a/b", "obsm:score_hallmark/a/b", [0, 1, 2]),
        ("obsm:padj_hallmark/a/b", "obsm:padj_hallmark/a/b", [0, 0.1, 0.2]),
        ("obsm:X_fused/2", "obsm:X_fused/2", [2, 6, 10]),
    ],
)
def test_a_name_is_found_where_it_is(name: str, source: str, values: list[float]) -> None:
    found = lookup([section()], name)
    assert found.source == source
    np.testing.assert_allclose(np.asarray(found.per_adata[0]), values)


@pytest.mark.parametrize(
    ("values", "unit"),
    [
        (sp.csr_matrix([[0, 2], [0, 1.0]]), "counts"),
        (np.array([[0, 2], [0, 1]]), "counts"),
        (sp.csc_matrix([[0, 2], [0, 1.5]]), "X"),
        (np.array([[-1.0, 2], [0, 1]]), "X"),
        (np.zeros((2, 2)), "X"),
        (np.array([[np.nan, 2], [0, 1]]), "X"),
    ],
)
def test_numbers_of_genes_say_where_they_come_from(values: Any, unit: str) -> None:
    adata = AnnData(values, var=pd.DataFrame(index=["a", "b"]))
    assert lookup([adata], "a").detail == unit
    scaled = AnnData(np.array([[0.5, 1.0]]), var=pd.DataFrame(index=["a", "b"]))
    assert lookup([adata, scaled], "a").detail == "X"


def test_a_layer_is_for_genes() -> None:
    found = lookup([section()], "EPCAM", layer="counts")
    np.testing.assert_array_equal(np.asarray(found.per_adata[0]), [7, 9, 11])
    assert found.detail == "counts"
    assert lookup([section()], "domain", layer="counts").detail == ""
    with pytest.raises(MissingError, match=r"layers\['raw'\]: found only \['counts'\]"):
        lookup([section()], "EPCAM", layer="raw")


@pytest.mark.parametrize(
    ("name", "ways"),
    [("ERBB2", ["obs:ERBB2", "gene:ERBB2"]), ("a/b", ["obsm:score_hallmark/a/b", "obsm:predicted_hallmark/a/b"])],
)
def test_an_ambiguous_name_says_how_to_write_it(name: str, ways: list[str]) -> None:
    with pytest.raises(OptionError) as error:
        lookup([section()], name)
    for way in ways:
        assert repr(way) in str(error.value)
        assert lookup([section()], way).source == way


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("EPCAMM", "EPCAM"),
        ("epcam", "EPCAM"),
        ("HYPOXIA", "HALLMARK_HYPOXIA"),
        ("obs:domian", "domain"),
        ("HALLMARK_APOPTOSIS", "APOPTOSIS"),
        ("hallmark_dna_repair", "DNA_REPAIR"),
        ("obsm:progeny/HALLMARK_APOPTOSIS", "APOPTOSIS"),
    ],
)
def test_an_unknown_name_lists_near_ones(name: str, near: str) -> None:
    adata = section()
    adata.obsm["other"] = pd.DataFrame({"APOPTOSIS": [0.0] * 3, "DNA_REPAIR": [0.0] * 3}, index=adata.obs_names)
    with pytest.raises(MissingError, match=f"Did you mean.*'{near}'"):
        lookup([adata], name)


def test_a_short_gene_is_not_near_to_every_name_that_holds_its_letters() -> None:
    adata = section()
    adata.var_names = ["QQ", "QQQ"]
    with pytest.raises(MissingError, match="Columns of obs"):
        lookup([adata], "WORDS_QQQ_AND_MORE_WORDS")


def test_a_name_like_nothing_lists_the_columns_and_the_tables() -> None:
    listed = (
        r"Columns of obs: \['domain', 'ERBB2'\]. Tables in obsm: score_hallmark \(2 columns\), predicted_hallmark \(1 "
    )
    with pytest.raises(MissingError, match=listed):
        lookup([section()], "qqqqqqqqq")


@pytest.mark.parametrize("name", [3, None, ["EPCAM"]])
def test_a_name_is_text(name: Any) -> None:
    with pytest.raises(OptionError, match="color"):
        lookup([section()], name)


@pytest.mark.parametrize(
    ("column", "categories", "missing"),
    [
        (["t10", "t2", None], ["t2", "t10"], 1),
        (pd.array([True, None, False], dtype="boolean"), [False, True], 1),
        (np.array([True, False, True]), [False, True], 0),
        (pd.array(["x", None, "y"], dtype="string"), ["x", "y"], 1),
        (pd.Categorical([2, 1, None], categories=[2, 1, 0]), [2, 1, 0], 1),
    ],
    ids=["object", "boolean", "bool", "string", "category"],
)
def test_columns_become_categories(column: Any, categories: list[Any], missing: int) -> None:
    adata = section()
    adata.obs["it"] = column
    (value,) = lookup([adata], "it").per_adata
    assert isinstance(value, pd.Categorical)
    assert list(value.categories) == categories
    assert (value.codes < 0).sum() == missing


def test_nullable_numbers_are_numbers() -> None:
    adata = section()
    adata.obs["it"] = pd.array([1, None, 3], dtype="Int64")
    np.testing.assert_array_equal(np.asarray(lookup([adata], "it").per_adata[0]), [1, np.nan, 3])


def test_dates_are_neither() -> None:
    adata = section()
    adata.obs["day"] = pd.date_range("2020-01-01", periods=3)
    with pytest.raises(OptionError, match="obs:day: found values of type datetime64"):
        lookup([adata], "day")


def test_genes_need_unique_names_and_expression() -> None:
    adata = section()
    adata.var_names = ["EPCAM", "EPCAM"]
    with pytest.raises(GenesError, match="var_names_make_unique"):
        lookup([adata], "EPCAM")
    adata = section()
    adata.X = None
    with pytest.raises(MissingError, match=r"X: found nothing.*counts"):
        lookup([adata], "EPCAM")


def test_a_name_means_the_same_in_all_sections() -> None:
    first, second = section(), section()
    del second.obs["ERBB2"]
    assert lookup([first, second], "ERBB2").source == "gene:ERBB2"
    with pytest.raises(MissingError, match="found in 1 of 2 AnnData"):
        lookup([first, second[:, ["ERBB2"]].copy()], "EPCAM")
    second.obs["domain"] = [1.0, 2.0, 3.0]
    with pytest.raises(OptionError, match="categories in some sections, numbers in others"):
        lookup([first, second], "domain")
