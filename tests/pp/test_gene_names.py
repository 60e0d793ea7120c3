"""Gene names of two kinds, with versions, blanks and duplicates, and of two species."""

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError
from histoscribe._gene_names import match_genes

from ..toys import cached_toy

SYMBOLS = ["TP53", "ERBB2", "ESR1", "KRT8", "MKI67", "GATA3"]
ENSEMBL = [f"ENSG{k:011d}" for k in range(6)]


def _named(names: list[str], **columns: list[str]) -> AnnData:
    return AnnData(sp.csr_matrix(np.ones((3, len(names)))), var=pd.DataFrame(columns, index=names))


def test_names_match_whatever_their_order_and_blanks() -> None:
    found = match_genes(_named(["GATA3", " TP53", "ACTB", "ESR1 "]), SYMBOLS)
    assert found.position.tolist() == [5, 0, -1, 2]
    assert (found.taken_from, found.n_duplicates) == ("var_names", 0)


def test_versions_of_ensembl_ids_make_no_difference() -> None:
    versions = [f"{name}.{k + 3}" for k, name in enumerate(ENSEMBL)]
    for ours, theirs in ((ENSEMBL, versions), (versions, ENSEMBL), (versions, versions[::-1])):
        found = match_genes(_named(ours), theirs).position
        assert found.tolist() == [[t.split(".")[0] for t in theirs].index(o.split(".")[0]) for o in ours]


def test_a_symbol_with_a_dot_is_no_version() -> None:
    assert match_genes(_named(["HLA.A", "TP53.1"]), ["HLA", "TP53"]).position.tolist() == [-1, -1]


def test_the_column_of_the_wanted_kind_is_read_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="histoscribe")
    other = {"feature_types": ["Gene Expression"] * 6, "genome": ["GRCh38"] * 6}
    found = match_genes(_named(ENSEMBL, **other, gene_name=SYMBOLS[::-1]), SYMBOLS)
    assert found.position.tolist() == [5, 4, 3, 2, 1, 0]
    assert found.taken_from == "var['gene_name']"
    assert "gene_name" in caplog.text
    back = match_genes(_named(SYMBOLS, gene_ids=[f"{e}.2" for e in ENSEMBL]), ENSEMBL)
    assert back.position.tolist() == list(range(6))


def test_two_columns_that_differ_are_not_chosen_from() -> None:
    adata = _named(ENSEMBL, a=SYMBOLS, b=SYMBOLS[::-1])
    with pytest.raises(GenesError, match=r"adata.var_names = adata.var\['a'\]"):
        match_genes(adata, SYMBOLS)
    adata.var["b"] = adata.var["a"].astype("category")
    assert match_genes(adata, SYMBOLS).taken_from == "var['a']"


def test_of_columns_with_one_gene_the_first_by_name_is_kept_in_any_order() -> None:
    adata = _named(ENSEMBL, symbol=["TP53", "ESR1", "TP53", "TP53", "KRT8", "MKI67"])
    for order in (np.arange(6), np.array([3, 5, 2, 1, 4, 0])):
        found = match_genes(adata[:, order].copy(), SYMBOLS)
        assert found.n_duplicates == 2
        assert found.position[order == 0].tolist() == [0]
        assert (found.position == 0).sum() == 1


def test_upper_and_lower_case_are_never_made_equal() -> None:
    assert (match_genes(_named([s.capitalize() for s in SYMBOLS]), SYMBOLS).position == -1).all()


def test_a_vocabulary_has_bare_ids_and_one_kind_of_names() -> None:
    counts = np.ones((30, 6))
    versions = AnnData(counts, var=pd.DataFrame(index=[f"{e}.{k}" for k, e in enumerate(ENSEMBL)]))
    symbols = AnnData(counts, var=pd.DataFrame(index=SYMBOLS))
    later = AnnData(counts, var=pd.DataFrame(index=[f"{e}.{k + 1}" for k, e in enumerate(ENSEMBL)]))
    assert hs.pp.fit_vocabulary([versions, later]).genes == tuple(ENSEMBL)
    with pytest.raises(GenesError, match="symbols in some sections"):
        hs.pp.fit_vocabulary([versions, symbols])
    versions.var_names = [f"{ENSEMBL[0]}.{k}" for k in range(6)]
    with pytest.raises(GenesError, match="once blanks and versions are taken off"):
        hs.pp.fit_vocabulary(versions)


def test_sections_without_a_gene_in_common_warn() -> None:
    one = cached_toy(n_spots=100)
    other, some = one.copy(), one[:, :10].copy()
    other.var_names = [f"OTHER{k}" for k in range(other.n_vars)]
    with pytest.warns(UserWarning, match="no gene in common") as caught:
        vocabulary = hs.pp.fit_vocabulary([one, some, other])
    assert len(caught) == 1
    assert len(vocabulary) == 2 * one.n_vars


def test_coverage_is_recorded_and_few_counts_are_refused() -> None:
    adata = cached_toy(n_spots=40, n_genes=200, plant=hs.datasets.Plant(n_null=5))
    vocabulary = hs.pp.fit_vocabulary(adata[:, :150].copy())
    counts = adata.layers["counts"]
    share = counts[:, :150].sum() / counts.sum()
    with pytest.warns(UserWarning, match="Only 150 of 200 genes"):
        hs.pp.tokenize_genes(adata, vocabulary, n_tokens=5)
    params = adata.uns["histoscribe"]["obsm.gene_tokens"]["params"]
    assert params["coverage"] == pytest.approx(share)
    assert (params["genes_found"], params["genes_wanted"], params["gene_names"]) == (150, 150, "var_names")


def test_the_mouse_bulb_does_not_fit_human_sets(data: object) -> None:
    bulb = hs.datasets.mouse_olfactory_bulb()
    with pytest.raises(GenesError, match="mouse symbols against human ones"):
        hs.pp.score_pathways(bulb)
    human = hs.pp.fit_vocabulary(hs.datasets.her2st("C2"))
    with pytest.raises(GenesError, match="mouse symbols against human ones"):
        hs.pp.tokenize_genes(bulb, human)
