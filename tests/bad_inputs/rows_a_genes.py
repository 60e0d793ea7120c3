"""Rows A12, A14 and A15: names of genes."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError

from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import gene_sets, halved, pathway_scale, vocabulary
from .tries import COUNTS, LEARNING, as_clean, clean, drawn, pretrained, same


def reference_scores(adata: AnnData) -> pd.DataFrame:
    """``pp.score_pathways`` on the scale of the section as it is."""
    hs.pp.score_pathways(adata, reference=pathway_scale(), key_added="score")
    found: pd.DataFrame = adata.obsm["score"]
    return found


_MATCHING: Mapping[str, Try] = {
    **{name: COUNTS[name] for name in ("pp.tokenize_genes", "pp.tokenize_genes residual", "pp.score_pathways")},
    **{name: COUNTS[name] for name in ("pp.fit_pathway_scale", "tl.encode_genes", "tl.encode_genes tokens")},
}
_LEARNING: Mapping[str, Try] = {"tl.pretrain_genes vocabulary=": lambda a: pretrained(a, vocabulary=vocabulary())}
WITH_ANOTHER: Mapping[str, Try] = {
    "pp.fit_vocabulary two": lambda a: hs.pp.fit_vocabulary([halved(), a]),
    "pp.fit_pathway_scale two": lambda a: hs.pp.fit_pathway_scale([halved(), a], gene_sets()),
    "tl.fit_pca two": lambda a: hs.tl.fit_pca([halved(), a], n_comps=4),
    "tl.expression_probe two": lambda a: _probe_two(a),
    "tl.pretrain_genes two": lambda a: pretrained([halved(), a]),
}


def _probe_two(adata: AnnData) -> pd.DataFrame:
    one, other = adata.copy(), halved()
    one.obs["half"], other.obs["half"] = "left", "right"
    other.obsm["X_image"] = other.obsm["X_image"] + np.float32(0.5)  # else it would be known as the same section
    return hs.tl.expression_probe([other, one], 5, use_rep="X_image", patients="half")


def _ensembl(number: int) -> str:
    return f"ENSG{number:011d}"


def _named(name: Callable[[str], str], *, column: str | None = None) -> Callable[[], AnnData]:
    """Genes renamed; their symbols in a column of var, if named."""

    def build() -> AnnData:
        adata = halved()
        if column is not None:
            adata.var[column] = adata.var_names.to_numpy(dtype=object)
        adata.var_names = [name(gene) for gene in adata.var_names]
        return adata

    return build


def _id_of(gene: str) -> str:
    return _ensembl(int(gene[3:]))


def _twice() -> AnnData:
    adata = halved()
    adata.var_names = [*adata.var_names[:-1], adata.var_names[0]]
    return adata


def _no_counts_said(_: AnnData, table: pd.DataFrame) -> None:
    assert "no counts (var_names" in table.loc[table["check"] == "shift", "advice"].item().lower()


def _duplicates() -> list[Row | Elsewhere]:
    result = Raises(GenesError, "var_names", "var_names_make_unique", r"TOY0000|more than once")
    said = Defined("a table that says that there are no counts", _no_counts_said)
    tried: dict[str, Try] = {**COUNTS, **LEARNING, "pl.spatial": partial(drawn, color="TOY0000")}
    return [
        Row("A12", "a gene name twice", _twice, tried, result),
        Row("A12", "a gene name twice", _twice, {"pp.check_registration": hs.pp.check_registration}, said),
    ]


def _kinds() -> list[Row | Elsewhere]:
    """A14: symbols and Ensembl ids."""
    rows: list[Row | Elsewhere] = []
    for given, build in {
        "Ensembl ids, and symbols are needed": _named(_id_of),
        "Ensembl ids with versions, and symbols are needed": _named(lambda gene: f"{_id_of(gene)}.5"),
    }.items():
        fix = "Ensembl ids such as 'ENSG00000000000(.5)?' and symbols are needed"
        calls = {**_MATCHING, **_LEARNING, "pp.score_pathways reference=": reference_scores}
        rows.append(Row("A14", given, build, calls, Raises(GenesError, "var_names|gene_sets", fix)))
        asked: dict[str, Try] = {"tl.expression_probe": COUNTS["tl.expression_probe"]}
        rows.append(Row("A14", given, build, asked, Raises(GenesError, "genes", fix, "3 of 3 are not in all")))
        result = Raises(GenesError, "var_names", "Ensembl ids such as|Bring them to one|Bring their gene names")
        rows.append(Row("A14", f"a second section with {given.split(',')[0]}", build, WITH_ANOTHER, result))
    for given, build in {
        "Ensembl ids, with symbols in a column of var": _named(_id_of, column="symbol"),
        "Ensembl ids with versions, with symbols in a column of var": _named(
            lambda g: f"{_id_of(g)}.5", column="symbol"
        ),
        "blanks around the symbols": _named(lambda gene: f" {gene} "),
    }.items():
        calls = {name: call for name, call in _MATCHING.items() if name != "pp.fit_pathway_scale"}
        calls["pp.fit_pathway_scale"] = COUNTS["pp.fit_pathway_scale"]
        rows += as_clean("A14", given, build, calls, says="the column of the wanted kind is read")
    return [*rows, *_versions()]


def _id_tokens(version: str) -> Try:
    def tried(adata: AnnData) -> np.ndarray:
        found = vocabulary()
        ids = tuple(f"{_id_of(gene)}{version}" for gene in found.genes)
        hs.pp.tokenize_genes(adata, hs.pp.Vocabulary(ids, found.means, found.n_nonzero, found.shares), n_tokens=50)
        tokens: np.ndarray = adata.obsm["gene_tokens"]
        return tokens

    return tried


def _versions() -> list[Row | Elsewhere]:
    """A vocabulary of ids, against ids of another version and against symbols with the ids in a column."""

    def with_ids() -> AnnData:
        adata = halved()
        adata.var["gene_ids"] = [f"{_id_of(gene)}.7" for gene in adata.var_names]
        return adata

    check = Defined("versions make no difference", lambda _, found: same(found, clean("pp.tokenize_genes")))
    builds = {
        "Ensembl ids of another version": _named(lambda g: f"{_id_of(g)}.9"),
        "symbols, with ids in var": with_ids,
    }
    tried = {"pp.tokenize_genes": _id_tokens(".12"), "pp.tokenize_genes bare": _id_tokens("")}
    return [Row("A14", f"{given}, and ids are needed", build, tried, check) for given, build in builds.items()]


def _mouse() -> list[Row | Elsewhere]:
    build = _named(str.capitalize)
    fix = "mouse symbols against human ones.*convert orthologs"
    calls = {**_MATCHING, **_LEARNING, "pp.score_pathways reference=": reference_scores}
    asked: dict[str, Try] = {"tl.expression_probe": COUNTS["tl.expression_probe"]}
    return [
        Row("A15", "mouse symbols against human ones", build, calls, Raises(GenesError, "var_names|gene_sets", fix)),
        Row("A15", "mouse symbols against human ones", build, asked, Raises(GenesError, "genes", fix)),
        Row("A15", "a mouse section beside a human one", build, WITH_ANOTHER, Raises(GenesError, "var_names", fix)),
    ]


ROWS: list[Row | Elsewhere] = [*_duplicates(), *_kinds(), *_mouse()]
