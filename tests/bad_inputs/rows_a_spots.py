"""Rows A13, A18 to A22 and A33 to A35: which spots there are, what else the AnnData holds, and what is written."""

import os
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata
import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import GenesError, OptionError

from ..digest import digest
from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import gene_sets, halved, pca, vocabulary
from .tries import COUNTS, LEARNING, POSITIONS, as_clean, clean, drawn, image_vectors, same, scores

_ALL: Mapping[str, Try] = {**COUNTS, **POSITIONS, "tl.encode_image": image_vectors, "pp.tissue_mask": hs.pp.tissue_mask}


def _with_names(names: Callable[[AnnData], Any]) -> Callable[[], AnnData]:
    def build() -> AnnData:
        adata = halved()
        for key in [key for key, value in adata.obsm.items() if isinstance(value, pd.DataFrame)]:
            del adata.obsm[key]  # it bears the old names
        adata.obs.index = pd.Index(names(adata), dtype=object)
        return adata

    return build


def _values(adata: AnnData) -> pd.DataFrame:
    return scores(adata).reset_index(drop=True)


def _clean_values(_: AnnData, found: pd.DataFrame) -> None:
    same(found, clean("pp.score_pathways").reset_index(drop=True))


def _twice(adata: AnnData) -> list[str]:
    return [adata.obs_names[0], *adata.obs_names[:-1]]


def _mixed(adata: AnnData) -> list[Any]:
    return [1, "1", *adata.obs_names[2:]]


@cache
def _fused() -> hs.nn.Model:
    train = hs.nn.TrainConfig(epochs=1, val_fraction=0, accelerator="cpu")
    return hs.tl.fuse(halved(), hs.nn.Contrastive(dim=4, hidden=4), train=train)


def _retrieved(adata: AnnData) -> pd.DataFrame:
    return hs.tl.retrieve(adata, str(adata.obs_names[5]), _fused(), k=3)


def _found_by_text(adata: AnnData, found: pd.DataFrame) -> None:
    by_text = _retrieved(halved())
    assert found["query"].tolist() == ["5"] * 3
    assert halved().obs_names[found["match"].astype(int)].tolist() == by_text["match"].tolist()
    assert found["cosine"].tolist() == by_text["cosine"].tolist()


def _names() -> list[Row | Elsewhere]:
    """A13 and A35: names of spots that are not unique, or no text."""
    rows: list[Row | Elsewhere] = []
    refused = Raises(OptionError, "obs_names", "obs_names_make_unique", "duplicates in 'toy_1'")
    by_row = {name: call for name, call in {**COUNTS, **POSITIONS}.items() if name != "pp.score_pathways"}
    del by_row["io.to_spatialdata"]
    join = {"io.to_spatialdata": POSITIONS["io.to_spatialdata"]}
    named = {**join, "tl.retrieve": _retrieved}
    for row_id, given, build in (
        ("A13", "a spot's name twice", _with_names(_twice)),
        ("A35", "names of spots as numbers and text, which are one as text", _with_names(_mixed)),
    ):
        rows.append(Row(row_id, given, build, named, refused))
        rows += as_clean(row_id, given, build, by_row, says="by row: names make no difference")
        rows.append(Row(row_id, given, build, {"pp.score_pathways": _values}, Defined("by row", _clean_values)))
    numbers = _with_names(lambda adata: range(adata.n_obs))
    rows += as_clean("A35", "names of spots as numbers", numbers, {**by_row, **join}, says="as with text")
    found = Defined("found by their text", _found_by_text)
    rows.append(Row("A35", "names of spots as numbers", numbers, {"tl.retrieve": _retrieved}, found))
    return rows


def _one_row(name: str) -> Callable[[AnnData, Any], None]:
    def check(_: AnnData, found: Any) -> None:
        whole = halved().obsm["X_image"] if name == "tl.encode_image" else clean(name)
        whole = whole.iloc[[7]] if isinstance(whole, pd.DataFrame) else whole[7:8]
        same(found, whole)

    return check


def _drawn_once(_: AnnData, found: list[np.ndarray]) -> None:
    same(found[0], clean("pl.spatial")[0][7:8])


def _cannot_tell(_: AnnData, found: list[Any]) -> None:
    assert "verdict: cannot tell" in " ".join(found[0])


def _sizes() -> list[Row | Elsewhere]:
    """A18 and A19: no spots, no genes, one spot."""
    no_spots = Raises(OptionError, "adata", "Check the filter before this", "0 observations")
    no_genes = Raises(GenesError, "adata", "A bare slide has no genes to read", "0 genes")
    few: Mapping[str, tuple[Try, str, str]] = {
        "pp.spatial_graph": (POSITIONS["pp.spatial_graph"], "section 'toy_1'", "Leave this section out"),
        "tl.fit_pca": (COUNTS["tl.fit_pca"], "counts", "Fit on more sections"),
        "pp.fit_pathway_scale": (COUNTS["pp.fit_pathway_scale"], "adatas", "Pass more sections"),
        "tl.domains_gmm": (partial(hs.tl.domains_gmm, n_domains=1, use_rep="X_image"), "X_image", "Pass more spots"),
        "tl.domains_leiden": (partial(hs.tl.domains_leiden, use_rep="X_image"), "X_image", "Pass more spots"),
        "tl.expression_probe": (COUNTS["tl.expression_probe"], r"obs\['half'\]", "Pass sections of another patient"),
        "tl.pretrain_genes": (POSITIONS["tl.pretrain_genes"], "adatas", "raise max_extent_um .* context=None"),
        "metrics.morans_i": (_moran, "graph", "Build it with more neighbours"),
    }
    rows: list[Row | Elsewhere] = [
        Row("A18", "no spots", lambda: halved()[:0].copy(), _ALL, no_spots),
        Row("A18", "no genes", lambda: halved()[:, :0].copy(), {**COUNTS, **LEARNING}, no_genes),
        Elsewhere("A18", "no spots", "an error before torch is loaded", _UNLOADED, raised=True),
    ]
    for name, (call, field, fix) in few.items():
        rows.append(Row("A19", "one spot", _single, {name: call}, Raises(OptionError, field, fix)))
    alone = ("pp.tokenize_genes", "pp.tokenize_genes residual", "pp.score_pathways", "tl.encode_genes", "pp.tile")
    for name in (*alone, "tl.encode_genes tokens", "pp.align_affine", "tl.encode_image", "io.to_spatialdata"):
        rows.append(Row("A19", "one spot", _single, {name: _ALL[name]}, Defined("as among others", _one_row(name))))
    drawing = Defined("drawn", _drawn_once)
    told = Defined("says that it can't tell", _cannot_tell)
    rows.append(Row("A19", "one spot", _single, {"pl.spatial": drawn}, drawing))
    return [*rows, Row("A19", "one spot", _single, {"pp.check_registration": _ALL["pp.check_registration"]}, told)]


_UNLOADED = (
    "tests/test_floors.py::test_no_torch_outside_nn_and_tl",
    "tests/battery/test_small.py::test_no_spots_are_refused",
)


def _single() -> AnnData:
    return halved()[7:8].copy()


def _moran(adata: AnnData) -> pd.Series:
    return hs.metrics.morans_i(adata.obsm["X_image"], adata.obsp["spatial_connectivities"])


def _elsewhere() -> list[Row | Elsewhere]:
    views = ("tests/battery/test_views.py::test_view_gives_the_same_and_leaves_its_parent",)
    copies = ("tests/battery/test_reruns.py::test_copy_leaves_the_original_and_equals_in_place",)
    return [
        Elsewhere("A20", "a view", "it works, and the parent is unchanged", views, raised=False),
        Elsewhere("A21", "copy=True", "the original keeps every byte", copies, raised=False),
    ]


def _with_raw() -> AnnData:
    """``raw`` of other genes in another order, and none of it counts."""
    adata = halved()
    other = adata[:, ::-1].copy()
    other.X = other.X.astype(np.float32) * 0.3
    adata.raw = other
    return adata


def _leaves_others(adata: AnnData, before: dict[str, str]) -> None:
    assert {key: digest(value) for key, value in adata.obsm.items() if key != "mine"} == before


def _written_as(key: str) -> Try:
    def tried(adata: AnnData) -> dict[str, str]:
        before = {name: digest(value) for name, value in adata.obsm.items()}
        adata.obsm[key] = np.zeros((adata.n_obs, 3))
        hs.pp.tile(adata, key_added=key)
        return before

    return tried


def _keys() -> list[Row | Elsewhere]:
    """A33: what is there already under the name to write."""
    theirs: Mapping[str, Try] = {
        "pp.tile": lambda a: hs.pp.tile(a, key_added="spatial"),
        "pp.tokenize_genes": lambda a: hs.pp.tokenize_genes(a, vocabulary(), key_added="tiles"),
        "pp.score_pathways": lambda a: hs.pp.score_pathways(a, gene_sets(), key_added="X_image"),
        "pp.tissue_mask": lambda a: hs.pp.tissue_mask(a, key_added="library_id"),
        "tl.encode_image": lambda a: image_vectors(a, key_added="X_genes"),
        "tl.encode_genes": lambda a: hs.tl.encode_genes(a, pca(), key_added="X_image"),
        "tl.domains_gmm": lambda a: hs.tl.domains_gmm(a, 2, use_rep="X_image", key_added="patient"),
        "tl.domains_leiden": lambda a: hs.tl.domains_leiden(a, use_rep="X_image", key_added="library_id"),
    }
    refused = Raises(OptionError, "key_added", "Choose another", "the slot that .* writes")
    replaced = Defined("this slot alone is replaced, and the log says so", _leaves_others)
    logged = ("tests/test_record.py::test_what_others_wrote_is_replaced_and_the_log_says_so",)
    return [
        Row("A33", "the name of another function's slot", halved, theirs, refused),
        Row("A33", "a name that holds something else", halved, {"pp.tile": _written_as("mine")}, replaced),
        Elsewhere("A33", "a name that holds something else", "the log names it", logged, raised=False),
    ]


def _awkward(adata: AnnData, folder: str) -> None:
    """Options of types that files don't hold: paths, tuples, numpy numbers, names with slashes."""
    path = Path(folder) / "my sets.gmt"
    lines = ["\t".join([f"set/{name}", "", *genes]) for name, genes in gene_sets().items()]
    path.write_text(os.linesep.join(lines))
    hs.pp.score_pathways(adata, path, key_added="score/mine", min_genes=5)
    hs.pp.tile(adata, context=(1, np.float64(3)), size_um=float(np.float32(100)), key_added="my/tiles")
    hs.tl.encode_image(adata, "mean_rgb", tiles_key=("my_tiles", "my_tiles_x3"), cache=False, key_added="X/vectors")
    hs.pp.align_affine(adata, {"toy_1": [(0, -1, 1100), (1, 0, 0), (0, 0, 1)]})
    hs.pp.check_registration(adata)


def _back_from(kind: str) -> Callable[[AnnData], AnnData]:
    def tried(adata: AnnData) -> AnnData:
        with TemporaryDirectory() as folder:
            _awkward(adata, folder)
            path = Path(folder) / f"a.{kind}"
            getattr(adata, f"write_{kind}")(path)
            back: AnnData = getattr(anndata, f"read_{kind}")(path)
            return back

    return tried


def _as_written(adata: AnnData, back: AnnData) -> None:
    keys = list(adata.uns["histoscribe"])
    assert {"obsm.score_mine", "obsm.my_tiles", "obsm.X_vectors_my_tiles_x3"} <= set(keys)
    assert set(back.obsm) == set(adata.obsm)
    assert set(back.uns["histoscribe"]) == set(keys)
    np.testing.assert_array_equal(back.obsm["my_tiles"], adata.obsm["my_tiles"])
    pd.testing.assert_frame_equal(back.obsm["score_mine"], adata.obsm["score_mine"])


_WRITING = "pp.score_pathways, pp.tile, tl.encode_image, pp.align_affine, pp.check_registration"
_FILES = {f"{_WRITING} {kind}": _back_from(kind) for kind in ("h5ad", "zarr")}

ROWS: list[Row | Elsewhere] = [
    *_names(),
    *_sizes(),
    *_elsewhere(),
    *as_clean("A22", "raw holds something else", _with_raw, {**COUNTS, **POSITIONS}, says="raw is not read"),
    *_keys(),
    Row(
        "A34",
        "options of types that files don't hold",
        halved,
        _FILES,
        Defined("h5ad and zarr hold it all", _as_written),
    ),
]
