"""Rows of the catalogue: what a spot's cosine comes of."""

from functools import cache, partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import MissingError, OptionError
from histoscribe.nn import Contrastive, TrainConfig

from .row import Elsewhere, Raises, Row
from .sections import SHORT, pca, plain, prepared, token_model


@cache
def _model() -> hs.nn.Model:
    return hs.tl.fuse(prepared(), Contrastive(dim=8, hidden=16), train=TrainConfig(**SHORT))


def attributed(adata: AnnData, spot: str | None = None, **options: Any) -> Any:
    """``tl.attribute`` of the fourth spot."""
    given = {"encoder": "mean_rgb", "gene_model": pca(), "n_patches": 2, **options}
    return hs.tl.attribute(adata, _model(), spot or adata.obs_names[3], **given)


def _without_counts() -> AnnData:
    adata = plain()
    for where in (adata.layers["counts"], adata.X):
        assert sp.issparse(where)
    kept = sp.diags((np.arange(adata.n_obs) != 3).astype(np.float32)).tocsr()
    adata.layers["counts"] = sp.csr_matrix(kept @ adata.layers["counts"])
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "mean_rgb", cache=False)
    hs.tl.encode_genes(adata, pca())
    return adata


def _without_tile() -> AnnData:
    adata = prepared()
    adata.obsm["tiles"][3] = np.nan
    return adata


def _named_twice() -> AnnData:
    adata = prepared()
    adata.obs_names = ["twice", "twice", *adata.obs_names[2:]]
    return adata


_OPTIONS: list[tuple[str, Any, str]] = [
    ("method", "lime", "Leave it out"),
    ("method", "gradient", "method='occlusion'"),  # mean_rgb is no network
    ("n_patches", 0, "Leave it out"),
    ("n_patches", 100_000, "fewer"),
]
ROWS: list[Row | Elsewhere] = [
    *(
        Row(
            "T15",
            f"{name}={value!r} of an attribution",
            prepared,
            {"tl.attribute": partial(attributed, **{name: value})},
            Raises(OptionError, name, fix),
        )
        for name, value, fix in _OPTIONS
    ),
    Row(
        "M11",
        "an encoder other than the one that made the vectors",
        prepared,
        {"tl.attribute": lambda adata: attributed(adata, encoder="stain_stats")},
        Raises(OptionError, "encoder", "Pass the one that made", "stain_stats instead of mean_rgb"),
    ),
    Row(
        "M11",
        "a gene model other than the one that made the vectors",
        prepared,
        {"tl.attribute": lambda adata: attributed(adata, gene_model=token_model())},
        Raises(OptionError, "gene_model", "Pass the model that wrote", "GeneEncoder"),
    ),
    Row(
        "M11",
        "a model without a joint space",
        prepared,
        {"tl.attribute": lambda adata: hs.tl.attribute(adata, pca(), adata.obs_names[3])},
        Raises(OptionError, "model", r"hs\.tl\.fuse", "PCA"),
    ),
    Row(
        "A6",
        "a spot without counts",
        _without_counts,
        {"tl.attribute": attributed},
        Raises(OptionError, "spot", "X_genes_valid", "without a vector"),
    ),
    Row(
        "A6",
        "a spot without a tile",
        _without_tile,
        {"tl.attribute": attributed},
        Raises(OptionError, "spot", "with both", "no tile"),
    ),
    Row(
        "A13",
        "a name that two spots have",
        _named_twice,
        {"tl.attribute": lambda adata: attributed(adata, "twice")},
        Raises(OptionError, "spot", "obs_names_make_unique", "2 spots"),
    ),
    Row(
        "A13",
        "a name that no spot has",
        prepared,
        {"tl.attribute": lambda adata: attributed(adata, "nobody")},
        Raises(MissingError, "spot", "obs_names", "0 spots"),
    ),
]
