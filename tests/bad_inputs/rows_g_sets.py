"""Rows of the catalogue: gene sets against the genes of a section, by every method that scores them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError, OptionError
from histoscribe.pp._methods import METHODS

from .row import Defined, Elsewhere, Raises, Row
from .sections import gene_sets, plain

KEY = "score_pathways"
WAYS: dict[str, dict[str, Any]] = {name: {"method": name} for name in METHODS}
SCALES = [name for name, kind in METHODS.items() if kind.alone]
PERMUTED = {"gsea, permuted": {"method": "gsea", "n_perms": 20}}


def _score(adata: AnnData, sets: Any, **options: Any) -> pd.DataFrame:
    hs.pp.score_pathways(adata, sets, **options)
    return adata.obsm[KEY]


def _scale(adata: AnnData, sets: Any, **options: Any) -> hs.pp.PathwayScale:
    return hs.pp.fit_pathway_scale(adata, sets, **options)


def by_all(call: Callable[..., Any], ways: Mapping[str, dict[str, Any]] = WAYS) -> dict[str, Callable[[Any], Any]]:
    """Score by every method: ``call`` takes what the row built, and the options."""
    return {f"pp.score_pathways {name}": partial(call, **options) for name, options in ways.items()}


def by_all_scales(call: Callable[..., Any], names: Sequence[str] = SCALES[:3]) -> dict[str, Callable[[Any], Any]]:
    """Fit scales by some methods, or by all that have one."""
    return {f"pp.fit_pathway_scale {name}": partial(call, method=name) for name in names}


def _close(got: Any, expected: Any) -> None:
    np.testing.assert_allclose(np.asarray(got), np.asarray(expected), rtol=1e-4, atol=1e-4)


def _equal(_: Any, returned: tuple[Any, Any]) -> None:
    _close(*returned)


# G3: sets that can't be scored


def _with_small() -> dict[str, list[str]]:
    sets = gene_sets()
    return {"empty": [], **sets, "one": sets["NULL_0"][:1], "few": sets["NULL_0"][:4]}


def _check_small(adata: AnnData, returned: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    got, expected = returned
    assert list(got) == ["empty", *expected, "one", "few"]
    assert got[["empty", "one", "few"]].isna().all().all()
    _close(got[list(expected)], expected)
    assert adata.uns["histoscribe"][f"obsm.{KEY}"]["params"]["unscored"] == ["empty", "one", "few"]


def _check_small_scale(_: Any, returned: tuple[Any, Any]) -> None:
    got, expected = returned
    unscored = np.isnan(got.score_means).all(axis=0)
    assert [name for name, out in zip(got.net, unscored, strict=True) if out] == ["empty", "one", "few"]
    _close(got.score_means[:, ~unscored], expected.score_means)


# G4: sets that repeat themselves


def _repeated() -> dict[str, list[str]]:
    return {name: [*genes, *genes[:3], f" {genes[0]} "] for name, genes in gene_sets().items()}


def _frame(**change: Any) -> pd.DataFrame:
    rows = [(name, gene, 1.0) for name, genes in gene_sets().items() for gene in genes]
    return pd.DataFrame(rows, columns=["source", "target", "weight"]).assign(**change)


NAMES: dict[str, Any] = {
    "two sets that are one as text": {1: gene_sets()["NULL_0"], "1": gene_sets()["NULL_1"]},
    "two sets whose columns would have one name": {"a/b": gene_sets()["NULL_0"], "a_b": gene_sets()["NULL_1"]},
}
FORMS: dict[str, tuple[Any, type, str, str]] = {
    "a string for a list of genes": ({"mine": "TOY0001"}, OptionError, r"gene_sets\['mine'\]", "Make it a list"),
    "a number for a list of genes": ({"mine": 5}, OptionError, r"gene_sets\['mine'\]", "Make it a list"),
    "a list of genes without a name": (
        ["TOY0001", "TOY0002"],
        OptionError,
        "gene_sets",
        "Name a list|Leave it out",
    ),
    "a net with gaps": (_frame(target=None), GenesError, "gene_sets", "dropna"),
    "a net with two weights for a gene": (
        pd.concat([_frame(), _frame(weight=2.0)]),
        GenesError,
        "gene_sets",
        "Drop one",
    ),
}


def _as_it_is(sets: Any) -> Any:
    return sets


BOTH: dict[str, Callable[[Any], Any]] = {
    "pp.score_pathways": lambda sets: hs.pp.score_pathways(plain(), sets),
    "pp.fit_pathway_scale": lambda sets: hs.pp.fit_pathway_scale(plain(), sets),
}

# G5, G6: other names


def _ensembl() -> AnnData:
    adata = plain()
    adata.var_names = [f"ENSG{k:011d}.2" for k in range(adata.n_vars)]
    return adata


def _mouse() -> AnnData:
    adata = plain()
    adata.var_names = [name.capitalize() for name in adata.var_names]
    return adata


def _others() -> AnnData:
    adata = plain()
    adata.var_names = [f"Q{k}" for k in range(adata.n_vars)]
    return adata


def _unmatched(given: str, build: Callable[[], AnnData], fix: str, id: str) -> Row:
    tried = by_all(lambda adata, **o: _score(adata, gene_sets(), **o))
    tried |= by_all_scales(lambda adata, **o: _scale(adata, gene_sets(), **o))
    return Row(id, given, build, tried, Raises(GenesError, "gene_sets|var_names", fix, "at most 0.*DOMAIN_0"))


# G7: the order of genes


def _shuffled() -> list[AnnData]:
    adata = plain()
    return [adata, adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()]


# G8: spots without counts


def _with_empty() -> list[AnnData]:
    full = plain()
    empty = full.copy()
    counts = empty.layers["counts"].tolil()
    counts[[0, 17, 59]] = 0
    empty.layers["counts"] = counts.tocsr()
    return [empty, full[np.setdiff1d(np.arange(60), [0, 17, 59])].copy()]


def _check_empty(given: list[AnnData], returned: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    got, expected = returned
    filled = given[0].obs[f"{KEY}_valid"].to_numpy()
    np.testing.assert_array_equal(np.flatnonzero(~filled), [0, 17, 59])
    assert len(got) == 60
    assert (got.to_numpy()[~filled] == 0).all()
    _close(got.to_numpy()[filled], expected)


# G10: a panel


def _panel() -> AnnData:
    adata = plain()
    members = {gene for genes in gene_sets().values() for gene in genes}
    kept = [gene for genes in gene_sets().values() for gene in genes[:5]]
    return adata[:, [*kept, *(gene for gene in adata.var_names if gene not in members)]].copy()


def _check_panel(adata: AnnData, _: Any) -> None:
    params = adata.uns["histoscribe"][f"obsm.{KEY}"]["params"]
    n_sets = len(gene_sets())
    assert params["background"] == adata.n_vars > 5 * n_sets
    assert (params["genes_found"], params["genes_wanted"]) == (5 * n_sets, 12 * n_sets)


ROWS: list[Row | Elsewhere] = [
    Row(
        "G3",
        "sets with no gene, one gene, fewer than min_genes",
        plain,
        by_all(lambda adata, **o: (_score(adata, _with_small(), **o), _score(plain(), gene_sets(), **o))),
        Defined("NaN columns, named in the record; the other sets as if they were not there", _check_small),
    ),
    Row(
        "G3",
        "sets with no gene, one gene, fewer than min_genes",
        plain,
        by_all_scales(lambda adata, **o: (_scale(adata, _with_small(), **o), _scale(plain(), gene_sets(), **o))),
        Defined("NaN in the scale; the other sets as if they were not there", _check_small_scale),
    ),
    Row(
        "G4",
        "genes that a set names twice, once with blanks",
        plain,
        by_all(lambda adata, **o: (_score(adata, _repeated(), **o), _score(plain(), gene_sets(), **o))),
        Defined("counted once", _equal),
    ),
    *(
        Row("G4", given, partial(_as_it_is, sets), BOTH, Raises(GenesError, "gene_sets", "Rename"))
        for given, sets in NAMES.items()
    ),
    *(
        Row("G4", given, partial(_as_it_is, sets), BOTH, Raises(error, field, fix))
        for given, (sets, error, field, fix) in FORMS.items()
    ),
    _unmatched("no gene of the sets is measured", _others, "var_names look like", "G5"),
    _unmatched("Ensembl ids where the sets hold symbols", _ensembl, r"Ensembl ids.*symbols.*adata\.var", "G5"),
    _unmatched("mouse symbols where the sets hold human ones", _mouse, "mouse.*orthologs", "G6"),
    Row(
        "G7",
        "genes in another order",
        _shuffled,
        by_all(lambda pair, **o: tuple(_score(one, gene_sets(), **o) for one in pair), {**WAYS, **PERMUTED}),
        Defined("the same scores: ties are broken by name, never by place", _equal),
    ),
    Row(
        "G7",
        "genes in another order",
        _shuffled,
        by_all_scales(lambda pair, **o: tuple(_scale(one, gene_sets(), **o).score_means for one in pair), SCALES),
        Defined("the same scale", _equal),
    ),
    Row(
        "G8",
        "spots without counts",
        _with_empty,
        by_all(lambda pair, **o: tuple(_score(one, gene_sets(), **o) for one in pair)),
        Defined("kept with scores of 0 and flagged; the others as if they were not there", _check_empty),
    ),
    Row(
        "G8",
        "spots without counts",
        _with_empty,
        by_all_scales(lambda pair, **o: tuple(_scale(one, gene_sets(), **o).score_means[-1] for one in pair)),
        Defined("the scale of the others", _equal),
    ),
    Row(
        "G10",
        "a panel that measures less than half of the genes of the sets",
        _panel,
        by_all(lambda adata, **o: _score(adata, gene_sets(), **o)),
        Defined(
            "a warning; the record holds the background and the genes found",
            _check_panel,
            warns=r"Only \d+ of the \d+ genes of the sets",
        ),
    ),
    Row(
        "G10",
        "a panel that measures less than half of the genes of the sets",
        _panel,
        {"pp.fit_pathway_scale": lambda adata: _scale(adata, gene_sets())},
        Defined(
            "a warning; the scale is of the genes that are there",
            lambda adata, scale: _assert_genes(adata, scale),
            warns=r"Only \d+ of the \d+ genes of the sets",
        ),
    ),
]


def _assert_genes(adata: AnnData, scale: Any) -> None:
    assert set(scale.genes) <= set(adata.var_names)
    assert len(scale.genes) > 0
