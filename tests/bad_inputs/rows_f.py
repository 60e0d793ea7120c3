"""Rows of the catalogue: silent faults of the installed libraries, which must not pass through."""

from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import CountsError, FileError

from . import rows_a_positions, rows_a_sections
from .row import Defined, Elsewhere, Raises, Row, Try
from .rows_a_containers import twice
from .rows_f_images import ROWS as IMAGES
from .rows_g_files import keep
from .sections import halved, pca
from .tries import COUNTS, as_clean, clean, image_vectors, same, scores

_FILLED = 24  # spots of 60
_METHODS = ("ulm", "mlm", "viper", "zscore", "waggr", "gsea", "ora", "aucell", "gsva")


def _mostly_empty(kind: Callable[[Any], Any]) -> Callable[[], AnnData]:
    def build() -> AnnData:
        adata = halved()
        counts = adata.layers["counts"].toarray()
        counts[_FILLED:] = 0
        adata.layers["counts"] = kind(counts)
        return adata

    return build


def _per_spot(name: str) -> Callable[[AnnData, Any], None]:
    """Spots with counts have what they have in the section without empty ones."""

    def check(_: AnnData, found: Any) -> None:
        found, wanted = np.asarray(found), np.asarray(clean(name))
        same(found[:_FILLED], wanted[:_FILLED])
        assert (found[_FILLED:] == 0).all()

    return check


def _as_without_empty(call: Try) -> Callable[[AnnData, Any], None]:
    return lambda _, found: same(found, call(halved()[:_FILLED].copy()))


def _empty_spots() -> list[Row | Elsewhere]:
    """F1: most spots empty, dense and sparse."""
    rows: list[Row | Elsewhere] = []
    for kind in (np.asarray, sp.csr_matrix):
        given = f"more than half of the spots empty, {'dense' if kind is np.asarray else 'csr'}"
        for name in ("pp.tokenize_genes", "pp.score_pathways", "tl.encode_genes"):
            result = Defined("the others as without them", _per_spot(name))
            rows.append(Row("F1", given, _mostly_empty(kind), {name: COUNTS[name]}, result))
        for name in ("pp.fit_vocabulary", "tl.fit_pca"):
            result = Defined("as without them", _as_without_empty(COUNTS[name]))
            rows.append(Row("F1", given, _mostly_empty(kind), {name: COUNTS[name]}, result))
    return rows


def _aliased(change: Callable[[AnnData], object]) -> Callable[[], AnnData]:
    """A layer that is X itself, and goes where X goes."""

    def build() -> AnnData:
        adata = halved()
        adata.X = adata.X.astype(np.float32)
        adata.layers["counts"] = adata.X
        change(adata)
        adata.layers["counts"] = adata.X  # whether or not this scanpy works on the array itself
        return adata

    return build


def _logged(adata: AnnData) -> None:
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)


def _layers() -> list[Row | Elsewhere]:
    """F2 and F3: what is normalised behind a layer's back, and twice."""
    keep_counts = r"Keep the raw counts in adata.layers\['counts'\]"
    refused = Raises(CountsError, r"layers\['counts'\]", keep_counts, "in every spot|look log-normalised")
    by_total = _aliased(partial(sc.pp.normalize_total, target_sum=1e4))
    given = "layers['counts'] is X, which was"
    again = {name: twice(COUNTS[name]) for name in ("pp.score_pathways", "tl.encode_genes", "tl.fit_pca")}
    return [
        Row("F2", f"{given} normalised", by_total, COUNTS, refused),
        Row("F2", f"{given} normalised and logged", _aliased(_logged), COUNTS, refused),
        *as_clean("F3", "what normalises is run twice", halved, again, says="the same; X and the counts untouched"),
    ]


def _files() -> list[Row | Elsewhere]:
    """F6 and F7: storage that loses or writes nothing."""
    chunks = ("tests/tl/test_feature_cache.py::test_a_damaged_chunk_is_made_anew_and_never_read",)
    stores = ("tests/io/test_read.py::test_no_damage_to_any_file_of_a_zarr_passes",)
    no_folder = Raises(FileError, "pca", ".", ".")
    return [
        Elsewhere("F6", "a chunk of the feature cache is deleted", "it is made anew", chunks, raised=False),
        Elsewhere("F6", "a chunk of a zarr store is deleted", "an error that names the element", stores, raised=True),
        Row(
            "F7", "a place that can't be written", _blocked, {"nn.Model.save": lambda path: pca().save(path)}, no_folder
        ),
    ]


def _blocked() -> Path:
    """A folder to be, under a file."""
    return keep("a_file", b"not a folder") / "pca"


def _moran(adata: AnnData) -> pd.Series:
    return hs.metrics.morans_i(adata.obsm["X_image"], adata.obsp["spatial_connectivities"])


def _by_loops(adata: AnnData, found: pd.Series) -> None:
    """Equal to the definition, and nothing is drawn or spread over jobs."""
    graph, x = adata.obsp["spatial_connectivities"].toarray(), adata.obsm["X_image"].astype(float)
    weights = graph / graph.sum(axis=1, keepdims=True)
    for k, z in enumerate((x - x.mean(axis=0)).T):
        np.testing.assert_allclose(found.iloc[k], len(z) / weights.sum() * (z @ weights @ z) / (z @ z))
    for function in (hs.metrics.morans_i, hs.metrics.moran_agreement):
        assert not {"n_jobs", "random_state", "n_perms"} & set(signature(function).parameters)


def _threads(adata: AnnData) -> np.ndarray:
    return image_vectors(adata, num_workers=2, batch_size=7)


def _one_thread(adata: AnnData, found: np.ndarray) -> None:
    np.testing.assert_array_equal(found, image_vectors(adata, num_workers=0))


def _jobs() -> list[Row | Elsewhere]:
    given = "work is spread over jobs"
    return [
        Row(
            "F8",
            given,
            halved,
            {"metrics.morans_i": _moran},
            Defined("a closed formula: no jobs, no seed", _by_loops),
        ),
        Row("F8", given, halved, {"tl.encode_image": _threads}, Defined("the same bytes as with one", _one_thread)),
    ]


def _ordered() -> AnnData:
    adata = halved()
    return adata[:, np.random.default_rng(3).permutation(adata.n_vars)].copy()


def _scored(method: str) -> Try:
    options: dict[str, Any] = {"n_perms": 20} if method == "gsea" else {}
    return partial(scores, method=method, **options)


def _in_order(method: str) -> Defined:
    return Defined("as in any order", lambda _, found: same(found, _scored(method)(halved()), tolerance=1e-4))


def _zero_row() -> AnnData:
    adata = halved()
    counts = adata.layers["counts"].tolil()
    counts[5] = 0
    adata.layers["counts"] = counts.tocsr()
    return adata


def _all_rows(method: str) -> Defined:
    def check(adata: AnnData, found: pd.DataFrame) -> None:
        kept = np.arange(60) != 5
        assert len(found) == 60
        assert (found.iloc[5] == 0).all()
        assert adata.obs["score_valid"].tolist() == kept.tolist()
        same(found[kept], _scored(method)(halved()[kept].copy()), tolerance=1e-4)

    return Defined("written in place, all rows; the others as without it", check)


def _methods() -> list[Row | Elsewhere]:
    """F9 and F10: decoupler's methods on genes in another order, and with a spot without counts."""
    rows: list[Row | Elsewhere] = []
    for method in _METHODS:
        tried = {f"pp.score_pathways {method}": _scored(method)}
        rows.append(Row("F9", "genes in another order", _ordered, tried, _in_order(method)))
        rows.append(Row("F10", "a spot without counts", _zero_row, tried, _all_rows(method)))
    return rows


_GMT = "\ufeffMY SET (early)\tna\tA\tB\tA\r\n\r\nempty one\tna\r\nlast\tna\tC\t\r\n"


def _as_it_stands(_: Path, found: Mapping[str, list[str]]) -> None:
    assert found == {"MY SET (early)": ["A", "B"], "empty one": [], "last": ["C"]}


def _gene_sets() -> list[Row | Elsewhere]:
    import gzip

    given = "byte-order mark, blanks in names, an empty line, a gene twice, an empty set"
    says = Defined("names whole, genes once, the empty set listed", _as_it_stands)
    read: dict[str, Try] = {"io.read_gmt": hs.io.read_gmt}
    return [
        Row("F11", given, lambda: keep("silent.gmt", _GMT.encode()), read, says),
        Row("F11", f"{given}; gzipped", lambda: keep("silent.gmt.gz", gzip.compress(_GMT.encode())), read, says),
    ]


def _again(module: Any, ids: tuple[str, ...], names: tuple[str, ...]) -> list[Row | Elsewhere]:
    """Rows of the A part that concern these functions, under F12."""
    found = [row for row in module.ROWS if isinstance(row, Row) and row.id in ids and set(row.tried) & set(names)]
    return [
        Row("F12", row.given, row.build, {k: v for k, v in row.tried.items() if k in names}, row.result)
        for row in found
    ]


ROWS: list[Row | Elsewhere] = [
    *_empty_spots(),
    *_layers(),
    *_files(),
    *_jobs(),
    *_methods(),
    *_gene_sets(),
    *_again(rows_a_sections, ("A29",), ("pp.spatial_graph",)),
    *_again(rows_a_positions, ("A24", "A25", "A26"), ("pl.spatial", "pl.panels", "pp.spatial_graph")),
    *IMAGES,
    Elsewhere(
        "F14",
        "a checkpoint whose position embedding is of another size",
        "an error that names the tensor and both shapes",
        ("tests/nn/test_encoder_folders.py::test_partial_or_broken_weights_are_an_error",),
        raised=True,
    ),
]

LEFT_OUT: dict[str, str] = {}
