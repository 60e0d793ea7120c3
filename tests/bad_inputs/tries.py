"""The public functions by what they read of a section: each call returns what it made, as plain arrays to compare."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs

from .row import Defined, Row, Try
from .sections import SHORT, SMALL, gene_sets, halved, pca, token_model, vocabulary


def vocabulary_of(adata: AnnData, **options: Any) -> pd.DataFrame:
    """``pp.fit_vocabulary``: a row a gene, by name."""
    found = hs.pp.fit_vocabulary(adata, **options)
    columns = {"mean": found.means, "n": found.n_nonzero, "share": found.shares}
    return pd.DataFrame(columns, index=list(found.genes)).sort_index()


def tokens(adata: AnnData, **options: Any) -> np.ndarray:
    """``pp.tokenize_genes``."""
    hs.pp.tokenize_genes(adata, vocabulary(), n_tokens=50, **options)
    found: np.ndarray = adata.obsm["gene_tokens"]
    return found


def residual_tokens(adata: AnnData, **options: Any) -> np.ndarray:
    """``pp.tokenize_genes`` by residuals."""
    return tokens(adata, rank="residual", **options)


def scores(adata: AnnData, method: str = "ulm", **options: Any) -> pd.DataFrame:
    """``pp.score_pathways``."""
    hs.pp.score_pathways(adata, gene_sets(), method=method, key_added="score", **options)
    found: pd.DataFrame = adata.obsm["score"]
    return found


def scale(adata: AnnData, **options: Any) -> list[Any]:
    """``pp.fit_pathway_scale``."""
    found = hs.pp.fit_pathway_scale(adata, gene_sets(), **options)
    genes = pd.DataFrame({"mean": found.means, "sd": found.sds}, index=list(found.genes)).sort_index()
    return [genes, found.depths, found.score_means]


def components(adata: AnnData, **options: Any) -> pd.DataFrame:
    """``tl.fit_pca``: a column a gene."""
    model = hs.tl.fit_pca(adata, n_comps=4, **options)
    return pd.DataFrame(model.module.components.numpy(), columns=model.meta["genes"]).sort_index(axis=1)


def vectors(adata: AnnData, **options: Any) -> np.ndarray:
    """``tl.encode_genes``."""
    hs.tl.encode_genes(adata, pca(), **options)
    found: np.ndarray = adata.obsm["X_genes"]
    return found


def token_vectors(adata: AnnData, **options: Any) -> np.ndarray:
    """``tl.encode_genes`` with a model over tokens."""
    hs.tl.encode_genes(adata, token_model(), **options)
    found: np.ndarray = adata.obsm["X_genes"]
    return found


def pretrained(adata: Any, config: Mapping[str, Any] = {}, **options: Any) -> list[Any]:
    """``tl.pretrain_genes``: the weights and the losses."""
    train = hs.nn.TrainConfig(**SHORT)
    model = hs.tl.pretrain_genes(adata, hs.nn.GeneEncoder(**{**SMALL, **config}), train=train, **options)
    return [*(value.numpy() for value in model.module.state_dict().values()), *model.history]


def probe(adata: AnnData, **options: Any) -> pd.DataFrame:
    """``tl.expression_probe`` on named genes, one half of the section against the other."""
    genes = ["TOY0000", "TOY0012", "TOY0024"]
    options = {"use_rep": "X_image", "patients": "half", "alphas": (1.0,), **options}
    table = hs.tl.expression_probe(adata, genes, **options)
    return table[["test", "gene", "pearson", "mse", "n_test", "n_left_out"]]


def registration(adata: AnnData, **options: Any) -> list[Any]:
    """``pp.check_registration``: its table, what is predicted in each placement, and the spots on tissue."""
    table = hs.pp.check_registration(adata, **options)
    said = {
        f"{row.check}: {row.found}": np.nan if row.value is None else float(row.value) for row in table.itertuples()
    }
    (stored,) = adata.uns["registration"].values()
    return [said, stored.get("placement", {"score": []})["score"], adata.obs["on_tissue"].to_numpy()]


def tiles(adata: AnnData, **options: Any) -> np.ndarray:
    """``pp.tile``."""
    hs.pp.tile(adata, **options)
    found: np.ndarray = adata.obsm["tiles"]
    return found


def graph(adata: AnnData, **options: Any) -> sp.csr_matrix:
    """``pp.spatial_graph``."""
    hs.pp.spatial_graph(adata, **options)
    return sp.csr_matrix(adata.obsp["spatial_distances"])


def moved(adata: AnnData) -> np.ndarray:
    """``pp.align_affine``: turned and enlarged, to where small unsigned integers would wrap."""
    hs.pp.align_affine(adata, [[0, -70, 10], [70, 0, 5], [0, 0, 1]])
    found: np.ndarray = adata.obsm["spatial"]
    return found


def image_vectors(adata: AnnData, **options: Any) -> np.ndarray:
    """``tl.encode_image``."""
    hs.tl.encode_image(adata, "mean_rgb", cache=False, **options)
    found: np.ndarray = adata.obsm["X_image"]
    return found


def circles(adata: AnnData) -> np.ndarray:
    """``io.to_spatialdata``: centres of the circles."""
    spots = next(iter(hs.io.to_spatialdata(adata).shapes.values()))
    return np.column_stack([spots.geometry.x, spots.geometry.y, spots["radius"]])


def linked(adata: AnnData) -> dict[str, Any]:
    """``io.link_image``: the section's scale factors."""
    hs.io.link_image(adata, "hires", mpp=1.0)
    entry = adata.uns["spatial"][adata.obs["library_id"].iloc[0]]
    return {**entry["scalefactors"], "mpp": entry["metadata"]["mpp"]}


def drawn(adata: AnnData, color: str = "true_domain", **options: Any) -> list[Any]:
    """``pl.spatial``: where the spots are drawn, and their colours."""
    with plt.ioff():
        made, ax = plt.subplots()
    try:
        hs.pl.spatial(adata, color, ax=ax, **options)
        spots = max(ax.collections, key=lambda one: len(np.asarray(one.get_offsets())))
        return [np.asarray(spots.get_offsets()), np.asarray(spots.get_facecolor())]
    finally:
        plt.close(made)


def figure(adata: AnnData, **options: Any) -> list[Any]:
    """``pl.panels``: where the spots of each panel are drawn."""
    made = hs.pl.panels(adata, "true_domain", **options)
    try:
        offsets = [np.asarray(shapes.get_offsets()) for ax in made.axes for shapes in ax.collections]
        return [places for places in offsets if len(places) > 1]
    finally:
        plt.close(made)


COUNTS: Mapping[str, Try] = {
    "pp.fit_vocabulary": vocabulary_of,
    "pp.tokenize_genes": tokens,
    "pp.tokenize_genes residual": residual_tokens,
    "pp.score_pathways": scores,
    "pp.fit_pathway_scale": scale,
    "tl.fit_pca": components,
    "tl.encode_genes": vectors,
    "tl.encode_genes tokens": token_vectors,
    "tl.expression_probe": probe,
}
LEARNING: Mapping[str, Try] = {"tl.pretrain_genes": pretrained}
POSITIONS: Mapping[str, Try] = {
    "pp.tile": tiles,
    "pp.spatial_graph": graph,
    "pp.align_affine": moved,
    "io.to_spatialdata": circles,
    "io.link_image": linked,
    "pl.spatial": drawn,
    "pl.panels": figure,
    "pp.check_registration": registration,
    **LEARNING,
}


@cache
def _clean(call: Callable[[AnnData], Any]) -> Any:
    return call(halved())


def clean(name: str) -> Any:
    """What a function makes of the section that nothing is wrong with."""
    return _clean({**COUNTS, **POSITIONS}[name])


def same(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    """See that two outcomes agree in kind, shape, names and, to a tolerance, in numbers."""
    if isinstance(wanted, pd.DataFrame):
        pd.testing.assert_frame_equal(found, wanted, rtol=tolerance, atol=tolerance, check_index_type=False)
    elif isinstance(wanted, dict):
        assert list(found) == list(wanted)
        for key, value in wanted.items():
            same(found[key], value, tolerance)
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other, tolerance)
    elif sp.issparse(wanted):
        same(found.toarray(), wanted.toarray(), tolerance)
    else:
        np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def as_clean(
    row_id: str,
    given: str,
    build: Callable[[], AnnData],
    tried: Mapping[str, Try],
    *,
    says: str = "as without the fault",
    warns: str | None = None,
    tolerance: float = 1e-5,
) -> list[Row]:
    """Rows, one a function, that demand of it what it makes of the clean section."""

    def row(name: str, call: Try) -> Row:
        result = Defined(says, lambda _, returned: same(returned, clean(name), tolerance), warns)
        return Row(row_id, given, build, {name: call}, result)

    return [row(name, call) for name, call in tried.items()]
