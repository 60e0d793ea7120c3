"""Rows A23 to A28 and A31: where the spots are, and whether that fits their image."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import ImageError, MissingError, OptionError

from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import halved, many_spots
from .tries import POSITIONS, as_clean, clean, drawn, graph, image_vectors, same, tiles

_NAME = "toy_1"


def _at(change: Callable[[np.ndarray], Any]) -> Callable[[], AnnData]:
    def build() -> AnnData:
        adata = halved()
        adata.obsm["spatial"] = change(adata.obsm["spatial"].copy())
        return adata

    return build


def _nowhere() -> AnnData:
    adata = halved()
    del adata.obsm["spatial"]
    return adata


def _shapes() -> list[Row | Elsewhere]:
    field = r"obsm\['spatial'\]"
    missing = Raises(MissingError, field, "Put x and y there", r"only \['X_genes', 'X_image'")
    two = Raises(OptionError, field, r"Keep x and y only: .*\[:, :2\]", r"shape \(60, [13]\)")
    text = Raises(OptionError, field, r"astype\(float\)", "values of type")
    return [
        Row("A23", "no positions", _nowhere, POSITIONS, missing),
        Row("A24", "positions of three columns", _at(lambda xy: np.column_stack([xy, xy[:, 0]])), POSITIONS, two),
        Row("A24", "positions of one column", _at(lambda xy: xy[:, :1]), POSITIONS, two),
        Row("A24", "positions that are text", _at(lambda xy: np.full(xy.shape, "far")), POSITIONS, text),
    ]


_LOST = [3, 40]


def _lose(xy: np.ndarray) -> np.ndarray:
    xy[_LOST] = [[np.nan, 5], [7, np.inf]]
    return xy


def _others(name: str, key: str | None) -> Callable[[AnnData, Any], None]:
    """All rows but the lost ones are as without the fault; these are NaN, or flagged."""
    kept = ~np.isin(np.arange(60), _LOST)

    def check(adata: AnnData, found: np.ndarray) -> None:
        wanted = clean(name) if name in POSITIONS else adata.obsm["X_image"]
        same(found[kept], wanted[kept])
        if key is not None:
            assert adata.obs[key].tolist() == kept.tolist()
        assert not np.isfinite(found[~kept]).all(axis=1).any() or key is not None

    return check


def _only_placed(_: AnnData, found: list[np.ndarray]) -> None:
    kept = ~np.isin(np.arange(60), _LOST)
    same(found, [part[kept] for part in clean("pl.spatial")])


def _encoded(adata: AnnData) -> tuple[np.ndarray, np.ndarray]:
    wanted = adata.obsm["X_image"].copy()
    tiles(adata)
    return image_vectors(adata), wanted


def _zero_rows(adata: AnnData, found: tuple[np.ndarray, np.ndarray]) -> None:
    kept = ~np.isin(np.arange(60), _LOST)
    assert adata.obs["X_image_valid"].tolist() == kept.tolist()
    same(found[0][kept], found[1][kept])
    assert (found[0][~kept] == 0).all()


def _masked(adata: AnnData) -> pd.Series:
    tiles(adata)
    hs.pp.tissue_mask(adata)
    return adata.obs["tissue_fraction"]


def _no_share(_: AnnData, found: pd.Series) -> None:
    assert np.flatnonzero(found.isna()).tolist() == _LOST


def _one_less(_: AnnData, found: list[Any]) -> None:
    assert np.flatnonzero(~found[-1]).tolist() == _LOST  # the spots on tissue: all that lie anywhere


def _without_place() -> list[Row | Elsewhere]:
    given, build = "spots without a position", _at(_lose)
    field, fix = r"obsm\['spatial'\]", r"Leave these spots out: .*np\.isfinite\(adata\.obsm\['spatial'\]\)"
    refused = Raises(OptionError, field, fix, "2 spots without a position")
    by_all = {name: POSITIONS[name] for name in ("pp.spatial_graph", "io.to_spatialdata")}
    stays = Defined("NaN and flagged; the others as before", _others("pp.tile", "tiles_valid"))
    results: list[tuple[str, Try, Defined]] = [
        ("pp.tile", tiles, stays),
        ("pp.align_affine", POSITIONS["pp.align_affine"], Defined("not moved", _others("pp.align_affine", None))),
        ("pl.spatial", drawn, Defined("not drawn", _only_placed)),
        ("tl.encode_image", _encoded, Defined("zero rows, flagged", _zero_rows)),
        ("pp.tissue_mask", _masked, Defined("NaN", _no_share)),
        ("pp.check_registration", POSITIONS["pp.check_registration"], Defined("on no tissue", _one_less)),
    ]
    rows: list[Row | Elsewhere] = [Row("A25", given, build, by_all, refused)]
    rows += as_clean("A25", given, build, {"io.link_image": POSITIONS["io.link_image"]})
    return [*rows, *(Row("A25", given, build, {name: call}, result) for name, call, result in results)]


def _swapped() -> AnnData:
    """A section wider than high, with x and y exchanged."""
    adata = halved()
    pictures = adata.uns["spatial"][_NAME]["images"]
    pictures["hires"] = pictures["hires"][:850]
    adata.obsm["spatial"] = adata.obsm["spatial"][:, ::-1].copy()
    return adata


def _coarse() -> AnnData:
    """A picture of a quarter of the pixels, whose scale factor says that it has all."""
    adata = halved()
    pictures = adata.uns["spatial"][_NAME]["images"]
    pictures["hires"] = pictures["hires"][::4, ::4]
    return adata


def _link_array(adata: AnnData) -> None:
    fresh = adata.copy()
    pixels = fresh.uns.pop("spatial")[_NAME]["images"]["hires"]
    hs.io.link_image(fresh, pixels, mpp=1.0)


def _turned() -> AnnData:
    adata = many_spots()
    adata.obsm["spatial"] = adata.obsm["spatial"][:, ::-1].copy()
    return adata


def _said_swapped(_: AnnData, table: pd.DataFrame) -> None:
    row = table[table["check"] == "orientation"].iloc[0]
    assert row["ok"] is False or bool(row["ok"]) is False
    assert "align_affine" in row["advice"]


def _within_reach(adata: AnnData) -> sp.csr_matrix:
    return graph(adata, radius_um=110)


def _same_graph(_: AnnData, found: sp.csr_matrix) -> None:
    same(found, _within_reach(halved()))


def _all_spots(_: AnnData, found: list[np.ndarray]) -> None:
    offsets = found[0]
    assert len(offsets) == 60


def _by_image() -> list[Row | Elsewhere]:
    """A26 and A31: positions and image that contradict each other."""
    field, extents = r"obsm\['spatial'\] of section 'toy_1'", r"inside the image \(x 200 to \d+, y 200 to \d+\)"
    on_image: dict[str, Try] = {name: POSITIONS[name] for name in ("pp.tile", "io.to_spatialdata")}
    on_image["pp.tissue_mask"] = hs.pp.tissue_mask
    drawings = {name: POSITIONS[name] for name in ("pl.spatial", "pl.panels")}
    link: dict[str, Try] = {"io.link_image": _link_array}
    swap = r"x and y appear swapped: exchanged, 100% fall inside.*\[:, ::-1\]"
    swapped, coarse = "x and y exchanged", "a scale factor that puts the spots outside the image"
    factor = r"Correct that scale factor, or the image: hs.io.link_image\("
    shown = "drawn, with a warning that names both"
    other = Raises(
        ImageError, "spot positions", "Link the image that the positions were measured on", r"% of 60 inside"
    )
    return [
        Row("A26", swapped, _swapped, on_image, Raises(ImageError, field, swap, extents)),
        Row("A26", swapped, _swapped, link, Raises(ImageError, "spot positions", swap, extents)),
        Row("A26", swapped, _swapped, drawings, Defined(shown, _all_spots, "x and y appear swapped: exchanged, 100%")),
        Row(
            "A26",
            swapped,
            _turned,
            {"pp.check_registration": hs.pp.check_registration},
            Defined("an orientation that is not ok, and the call that mends it", _said_swapped),
        ),
        Row("A26", swapped, _swapped, {"pp.spatial_graph": _within_reach}, Defined("the same graph", _same_graph)),
        Row("A31", coarse, _coarse, on_image, Raises(ImageError, field, factor, extents)),
        Row("A31", coarse, _coarse, link, other),
        Row("A31", coarse, _coarse, drawings, Defined(shown, _all_spots, "Correct that scale factor")),
        Row(
            "A31",
            coarse,
            _coarse,
            {"tl.encode_image": image_vectors},
            Raises(ImageError, "tiles of section", "Positions and image do not belong together", "outside the image"),
        ),
    ]


_FINER = 60


def _whole(dtype: str) -> AnnData:
    """Whole numbers up to 57,000: squares pass 2^31, and the corners of tiles lie below 0."""
    adata = halved()
    adata.obsm["spatial"] = ((adata.obsm["spatial"] - 190).round() * _FINER).astype(dtype)
    entry = adata.uns["spatial"][_NAME]
    entry["metadata"]["mpp"] = 0.05
    for part, key in (("scalefactors", "tissue_hires_scalef"), ("metadata", "image_scale")):
        entry[part][key] = 1 / _FINER
    entry["scalefactors"]["spot_diameter_fullres"] = 55.0 * _FINER
    return adata


def _relink(adata: AnnData) -> dict[str, Any]:
    hs.io.link_image(adata, "hires", mpp=0.05)
    factors: dict[str, Any] = adata.uns["spatial"][_NAME]["scalefactors"]
    return factors


def _bootstrap(adata: AnnData) -> dict[str, float]:
    values = [adata.obsm["X_image"][:, 0].astype(float)]
    return hs.metrics.block_bootstrap(np.mean, values, adata.obsm["spatial"], block_um=9000, n_resamples=50)


def _fitted(adata: AnnData) -> np.ndarray:
    xy = adata.obsm["spatial"]
    return hs.pp.fit_affine(xy, xy[:, ::-1])


def _types() -> list[Row | Elsewhere]:
    special: Mapping[str, Try] = {
        "io.link_image": _relink,
        "metrics.block_bootstrap": _bootstrap,
        "pp.fit_affine": _fitted,
    }
    rows: list[Row | Elsewhere] = []
    for dtype in ("uint16", "int32"):
        for name, call in {**POSITIONS, **special}.items():

            def check(_: AnnData, found: Any, call: Try = call) -> None:
                same(found, call(_whole("float64")))

            def build(dtype: str = dtype) -> AnnData:
                return _whole(dtype)

            rows.append(Row("A27", f"positions as {dtype}", build, {name: call}, Defined("as float64", check)))
    return rows


def _stack(xy: np.ndarray) -> np.ndarray:
    xy[11] = xy[10]
    return xy


def _joined(adata: AnnData, _: Any) -> None:
    edges, lengths = (adata.obsp[f"spatial_{name}"] for name in ("connectivities", "distances"))
    assert edges[10, 11] == edges[11, 10] == 1
    assert lengths[10, 11] == lengths[11, 10] < 1e-100
    assert edges.diagonal().sum() == 0
    assert (abs(edges - edges.T) > 0).nnz == 0


def _same_box(_: AnnData, found: np.ndarray) -> None:
    kept = np.arange(60) != 11
    same(found[kept], clean("pp.tile")[kept])
    same(found[11], found[10])


def _same_places() -> list[Row | Elsewhere]:
    given, build = "two spots at one place", _at(_stack)
    warns = "1 spots of section 'toy_1' lie at the place of another one"
    edges, box = {"pp.spatial_graph": graph}, {"pp.tile": tiles}
    return [
        Row("A28", given, build, edges, Defined("neighbours, 0 um apart; a warning counts them", _joined, warns)),
        Row("A28", given, build, box, Defined("the same box", _same_box)),
    ]


ROWS: list[Row | Elsewhere] = [*_shapes(), *_without_place(), *_by_image(), *_types(), *_same_places()]
