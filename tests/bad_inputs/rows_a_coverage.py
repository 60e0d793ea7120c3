"""Rows A16 and A17: which genes are there, and in which order."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from histoscribe._errors import GenesError

from .row import Defined, Elsewhere, Raises, Row
from .rows_a_genes import WITH_ANOTHER, reference_scores
from .sections import halved, many_spots, pca, vocabulary
from .tries import COUNTS, as_clean, pretrained, registration, same


def _share_known(share: float) -> Callable[[], AnnData]:
    """Rename genes so that those known hold about this share of the counts."""

    def build() -> AnnData:
        adata = halved()
        totals = np.asarray(adata.layers["counts"].sum(axis=0)).ravel()
        order = np.random.default_rng(1).permutation(adata.n_vars)
        known = np.cumsum(totals[order]) <= share * totals.sum()
        new = dict(zip(adata.var_names[order[~known]], (f"NEW{k}" for k in range(adata.n_vars)), strict=False))
        adata.var_names = [new.get(gene, gene) for gene in adata.var_names]
        return adata

    return build


def _coverage(adata: AnnData) -> tuple[np.ndarray, float]:
    known = np.array([not gene.startswith("NEW") for gene in adata.var_names])
    counts = adata.layers["counts"].toarray()
    return known, float(counts[:, known].sum() / counts.sum())


def _tokens_of_known(adata: AnnData, found: np.ndarray) -> None:
    known, share = _coverage(adata)
    assert set(np.unique(found)) - {0} <= {30 + k for k in np.flatnonzero(known)}
    said = adata.uns["histoscribe"]["obsm.gene_tokens"]["params"]["coverage"]
    np.testing.assert_allclose(said, share)
    assert 0.2 < share < 0.8


def _coverage_recorded(adata: AnnData, found: np.ndarray) -> None:
    said = adata.uns["histoscribe"]["obsm.X_genes"]["params"]["coverage"]
    np.testing.assert_allclose(said, _coverage(adata)[1])
    assert np.isfinite(found).all()


def _scores_recorded(adata: AnnData, _: Any) -> None:
    params = adata.uns["histoscribe"]["obsm.score"]["params"]
    assert (params["genes_found"], params["genes_wanted"]) == (100, 200)


def _half_of_the_genes() -> AnnData:
    adata = halved()
    adata.var_names = [gene if k % 2 else f"NEW{k}" for k, gene in enumerate(adata.var_names)]
    return adata


def _few_missing() -> AnnData:
    adata = halved()
    return adata[:, 10:].copy()


def _missing_at_their_mean(adata: AnnData, found: np.ndarray) -> None:
    """The vectors are those of the other genes, with the first ten at their training mean."""
    params = adata.uns["histoscribe"]["obsm.X_genes"]["params"]
    assert params["genes_missing"] == [f"TOY{k:04d}" for k in range(10)]
    module = pca().module
    counts = adata.layers["counts"].toarray().astype(float)
    values = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True)) - module.mean.numpy()[10:]
    np.testing.assert_allclose(found, values @ module.components.numpy()[:, 10:].T, atol=1e-3)


def _shared_part(adata: AnnData, model: Any) -> None:
    assert model.meta["genes"] == [gene for gene in adata.var_names if not gene.startswith("NEW")]


def _targets_of_both(adata: AnnData, found: pd.DataFrame) -> None:
    assert set(found["gene"]) <= set(halved().var_names) & set(adata.var_names)


def _coverages() -> list[Row | Elsewhere]:
    """A16: few of the genes are there."""
    low, half = _share_known(0.1), _share_known(0.5)
    by_counts = {name: COUNTS[name] for name in ("pp.tokenize_genes", "pp.tokenize_genes residual")}
    by_tokens = {"tl.encode_genes tokens": COUNTS["tl.encode_genes tokens"]}
    learned = {"tl.pretrain_genes vocabulary=": lambda a: pretrained(a, vocabulary=vocabulary())}
    two = {"tl.fit_pca two": WITH_ANOTHER["tl.fit_pca two"]}
    probe = {"tl.expression_probe two": WITH_ANOTHER["tl.expression_probe two"]}
    few = "genes known that hold a tenth of the counts"
    some = "genes known that hold half of the counts"
    at_least = Raises(GenesError, "var_names", "var_names look like", r"\d+ of 200 genes .*, (9|10)% of the counts")
    model = Raises(GenesError, "var_names", "fit a model on these genes", "of the model's 200 genes")
    warned, shared = "Only .* of the counts; the rest is left out", "the genes of both"
    ok = Defined(shared, _targets_of_both, warned)
    return [
        Row("A16", few, low, {**by_counts, **by_tokens, **learned, **two, **probe}, at_least),
        Row("A16", few, low, {"tl.encode_genes": COUNTS["tl.encode_genes"]}, model),
        Row(
            "A16",
            few,
            low,
            {"pp.score_pathways reference=": reference_scores},
            Raises(GenesError, "var_names", "look like"),
        ),
        Row(
            "A16",
            some,
            half,
            by_counts,
            Defined("the others left out, and the share recorded", _tokens_of_known, warned),
        ),
        Row("A16", some, half, {"tl.encode_genes": COUNTS["tl.encode_genes"]}, model),
        Row("A16", some, half, by_tokens, Defined("of the others, and the share recorded", _coverage_recorded, warned)),
        Row("A16", some, half, learned, Defined("of the others", lambda _, found: None, warned)),
        Row("A16", some, half, two, Defined(shared, _shared_part, warned)),
        Row("A16", some, half, probe, ok),
        Row(
            "A16",
            "every second gene known",
            _half_of_the_genes,
            {"pp.score_pathways reference=": reference_scores},
            Defined("scored, and how many were found recorded", _scores_recorded, "50% of the 200 genes of the scale"),
        ),
        Row(
            "A16",
            "ten of the model's genes are missing",
            _few_missing,
            {"tl.encode_genes": COUNTS["tl.encode_genes"]},
            Defined("at their training mean, and listed", _missing_at_their_mean, "10 are missing"),
        ),
    ]


def _permuted() -> AnnData:
    adata = halved()
    return adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()


def _extra() -> AnnData:
    """Five genes more, with a tenth of the counts, in front of all others."""
    adata = halved()
    counts = adata.layers["counts"]
    more = sp.csr_matrix(np.random.default_rng(0).poisson(counts.mean() * 4, (adata.n_obs, 5)).astype(counts.dtype))
    wide = AnnData(sp.hstack([more, counts], format="csr"), obs=adata.obs, obsm=adata.obsm, uns=adata.uns)
    wide.var_names = [*(f"NEW{k}" for k in range(5)), *adata.var_names]
    wide.layers["counts"] = wide.X.copy()
    return wide


def _permuted_spots() -> AnnData:
    adata = many_spots()
    return adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()


def _as_in_order(_: AnnData, found: list[Any]) -> None:
    same(found, registration(many_spots()), tolerance=1e-3)


def _orders() -> list[Row | Elsewhere]:
    rows: list[Row | Elsewhere] = [*as_clean("A17", "genes in another order", _permuted, COUNTS, tolerance=1e-4)]
    result = Defined("as in order", _as_in_order)
    rows.append(Row("A17", "genes in another order", _permuted_spots, {"pp.check_registration": registration}, result))
    by_name = {name: COUNTS[name] for name in ("pp.tokenize_genes", "tl.encode_genes", "tl.encode_genes tokens")}
    by_name["pp.tokenize_genes residual"] = COUNTS["pp.tokenize_genes residual"]
    rows += as_clean("A17", "genes that nobody asked for", _extra, by_name)
    result = Defined("as without them", lambda _, found: same(found, reference_scores(halved())))
    rows.append(
        Row("A17", "genes that nobody asked for", _extra, {"pp.score_pathways reference=": reference_scores}, result)
    )
    return rows


ROWS: list[Row | Elsewhere] = [*_coverages(), *_orders()]
