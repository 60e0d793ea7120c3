"""Rows A6 and A7: spots and genes without counts."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs

from .row import Defined, Elsewhere, Row, Try
from .sections import halved
from .tries import COUNTS, clean, same

_ENCODING = ("tl.encode_genes", "tl.encode_genes tokens")


def _without(rows: Any, columns: Any) -> AnnData:
    adata = halved()
    counts = adata.layers["counts"].toarray()
    counts[rows, columns] = 0
    adata.layers["counts"] = sp.csr_matrix(counts)
    return adata


def _empty_spot() -> AnnData:
    return _without(5, slice(None))


def _keeps_all_others(name: str) -> Callable[[AnnData, Any], None]:
    """Row 5 is empty: it stays and is flagged, and the others are as without the fault."""
    key = {"pp.score_pathways": "score", **dict.fromkeys(_ENCODING, "X_genes")}.get(name, "gene_tokens")

    def check(adata: AnnData, found: Any) -> None:
        assert len(found) == adata.n_obs == 60
        kept = np.arange(60) != 5
        assert adata.obs[f"{key}_valid"].tolist() == kept.tolist()
        assert (np.asarray(found)[5] == 0).all()
        np.testing.assert_allclose(np.asarray(found)[kept], np.asarray(clean(name))[kept], atol=1e-5)

    return check


def _without_the_spot(call: Try) -> Callable[[AnnData, Any], None]:
    return lambda adata, found: same(found, call(adata[np.arange(60) != 5].copy()))


def _probe_leaves_out(adata: AnnData, found: pd.DataFrame) -> None:
    assert found["n_left_out"].sum() == 3  # of three genes, in the half where it lies
    assert np.isfinite(found["pearson"]).all()


def _spots_without_counts() -> list[Row | Elsewhere]:
    rows: list[Row | Elsewhere] = []
    says = "kept as a zero row and flagged; the other spots are as before"
    for name in ("pp.tokenize_genes", "pp.tokenize_genes residual", "pp.score_pathways", *_ENCODING):
        rows.append(
            Row(
                "A6", "a spot without counts", _empty_spot, {name: COUNTS[name]}, Defined(says, _keeps_all_others(name))
            )
        )
    says = "as without that spot"
    for name in ("pp.fit_vocabulary", "tl.fit_pca"):
        result = Defined(says, _without_the_spot(COUNTS[name]))
        rows.append(Row("A6", "a spot without counts", _empty_spot, {name: COUNTS[name]}, result))
    result = Defined("left out and counted", _probe_leaves_out)
    rows.append(
        Row("A6", "a spot without counts", _empty_spot, {"tl.expression_probe": COUNTS["tl.expression_probe"]}, result)
    )
    return rows


def _empty_gene() -> AnnData:
    return _without(slice(None), 0)


def _no_correlation(_: Any, found: pd.DataFrame) -> None:
    assert found.loc[found["gene"] == "TOY0000", "pearson"].isna().all()
    assert found.loc[found["gene"] != "TOY0000", "pearson"].notna().all()


def _summary(adata: AnnData) -> tuple[pd.DataFrame, pd.DataFrame]:
    table = hs.tl.expression_probe(adata, ["TOY0000", "TOY0012"], use_rep="X_image", patients="half", alphas=(1.0,))
    return table, hs.metrics.summarize_expression(table, by=("test",))


def _mean_of_the_other(_: Any, found: tuple[pd.DataFrame, pd.DataFrame]) -> None:
    table, summary = found
    other = table[table["gene"] == "TOY0012"].set_index("test")["pearson"]
    assert summary["n_constant"].tolist() == [1, 1]
    np.testing.assert_allclose(summary["pearson"], other[summary["test"]])


def _per_gene(metric: Callable[..., pd.DataFrame]) -> Try:
    def tried(adata: AnnData) -> pd.DataFrame:
        measured = adata.layers["counts"].toarray()[:, :3].astype(float)
        return metric(measured[::-1].copy() + 1.0, measured)

    return tried


def _gene_is_constant(_: Any, found: pd.DataFrame) -> None:
    assert found["constant"].tolist() == [True, False, False]
    assert found.iloc[:, 0].isna().tolist() == [True, False, False]


def _moran(adata: AnnData) -> pd.Series:
    return hs.metrics.morans_i(adata.layers["counts"][:, :3], adata.obsp["spatial_connectivities"])


def _first_is_nan(_: Any, found: pd.Series) -> None:
    assert found.isna().tolist() == [True, False, False]


def _agreement(adata: AnnData) -> dict[str, float]:
    counts = adata.layers["counts"].toarray()[:, :5].astype(float)
    return hs.metrics.moran_agreement(counts, counts, adata.obsp["spatial_connectivities"])


def _one_gene_less(_: Any, found: dict[str, float]) -> None:
    assert (found["n_genes"], found["difference"]) == (4, 0)


def _no_token_of_it(adata: AnnData, found: np.ndarray) -> None:
    assert not (found == 30).any()  # the first gene of the vocabulary
    assert adata.obs["gene_tokens_valid"].all()


def _genes_without_counts() -> list[Row | Elsewhere]:
    given = "a gene without counts"
    per_gene: dict[str, Try] = {
        "metrics.pearson_per_gene": _per_gene(hs.metrics.pearson_per_gene),
        "metrics.spearman_per_gene": _per_gene(hs.metrics.spearman_per_gene),
    }
    tried: list[tuple[Mapping[str, Try], Defined]] = [
        (per_gene, Defined("NaN, and marked as constant", _gene_is_constant)),
        ({"metrics.morans_i": _moran}, Defined("NaN", _first_is_nan)),
        ({"metrics.moran_agreement": _agreement}, Defined("left out, and n_genes says so", _one_gene_less)),
        ({"tl.expression_probe": COUNTS["tl.expression_probe"]}, Defined("NaN for this gene alone", _no_correlation)),
        ({"metrics.summarize_expression": _summary}, Defined("left out of means", _mean_of_the_other)),
        ({"pp.tokenize_genes": COUNTS["pp.tokenize_genes"]}, Defined("no token of it", _no_token_of_it)),
    ]
    return [Row("A7", given, _empty_gene, calls, result) for calls, result in tried]


ROWS: list[Row | Elsewhere] = [*_spots_without_counts(), *_genes_without_counts()]
