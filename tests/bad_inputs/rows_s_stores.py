"""Shapes without a centre, stores that lack parts, and several tables."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import FileError, MissingError, OptionError

from .pictures import encode, painted, places, quiet
from .row import Defined, Raises, Row
from .spatials import EYE, SHEARED, affine, built, on_their_colours, opened, stored, table

FROM: dict[str, Callable[[Any], Any]] = {"io.from_spatialdata": lambda sdata: hs.io.from_spatialdata(sdata, mpp=2.0)}


def _changed(change: Callable[[Any], Any], **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        sdata = built(**options)
        with quiet():
            change(sdata)
        return sdata

    return build


def _on_pixels(given: Any, returned: AnnData) -> None:
    on_their_colours(returned)
    np.testing.assert_allclose(returned.obsm["spatial"], places()[returned.obs["k"].to_numpy(int)], atol=1e-6)


def _geometry(change: Callable[[list[Any]], None]) -> Callable[[], Any]:
    """Squares in place of the circles, one of them spoiled."""

    def build() -> Any:
        import geopandas
        from shapely.geometry import box
        from spatialdata.models import ShapesModel

        sdata = built()
        centres = [(point.x, point.y) for point in sdata["circles"].geometry]
        squares: list[Any] = [box(x - 1, y - 1, x + 1, y + 1) for x, y in centres]
        change(squares)
        frame = geopandas.GeoDataFrame(geometry=squares, index=sdata["circles"].index)
        with quiet():
            sdata.shapes["circles"] = ShapesModel.parse(frame, transformations={"aligned": affine(SHEARED)})
        return sdata

    return build


def _empty(squares: list[Any]) -> None:
    from shapely.geometry import Polygon

    squares[3] = Polygon()


def _bow_tie(squares: list[Any]) -> None:
    from shapely.geometry import Polygon

    squares[3] = Polygon([(0, 0), (4, 4), (4, 0), (0, 4)])


def _at_nan(sdata: Any) -> None:
    from shapely.geometry import Point

    sdata["circles"].loc["c3", "geometry"] = Point(np.nan, 1)


def _no_radius(sdata: Any) -> None:
    del sdata["circles"]["radius"]


def _nan_radius(sdata: Any) -> None:
    sdata["circles"].loc["c3", "radius"] = np.nan


def _no_position() -> AnnData:
    with quiet():
        adata: AnnData = hs.io.from_spatialdata(built(), mpp=2.0)
    adata.obsm["spatial"][4] = np.nan
    return adata


SHAPES = [
    Row("S10", "whole squares", _geometry(lambda squares: None), FROM, Defined("their centres", _on_pixels)),
    Row("S10", "an empty polygon", _geometry(_empty), FROM,
        Raises(OptionError, field="shapes of 'circles'", fix="Remove them", found="1 empty, such as 'c3'")),
    Row("S10", "a polygon that crosses itself", _geometry(_bow_tie), FROM,
        Raises(OptionError, field="shapes of 'circles'", fix=r"make_valid\(\)", found="1 that cross themselves, such as 'c3'")),
    Row("S10", "a circle at NaN", _changed(_at_nan), FROM,
        Raises(OptionError, field="centres of 'circles'", fix="Remove these instances", found="1 NaN")),
    Row("S10", "circles without radius", _changed(_no_radius), FROM,
        Raises(OptionError, field="radius of 'circles'", fix=r"\['radius'\] = ", found="30 missing")),
    Row("S10", "a circle whose radius is NaN", _changed(_nan_radius), FROM,
        Raises(OptionError, field="radius of 'circles'", fix=r"\['radius'\] = ", found="1 missing")),
    Row("S10", "a spot without a position", _no_position, {"io.to_spatialdata": lambda adata: hs.io.to_spatialdata(adata)},
        Raises(OptionError, field=r"obsm\['spatial'\]", fix="Leave these spots out", found="^1 ")),
]  # fmt: skip


def _hash(store: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(store.rglob("*")):
        digest.update(str(path.relative_to(store)).encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()


def _store() -> dict[str, Any]:
    path = stored(chunks=(3, 64, 64))
    return {"path": path, "hash": _hash(path)}


def _work(given: dict[str, Any]) -> AnnData:
    adata = hs.io.from_spatialdata(opened(given["path"]), mpp=2.0)
    hs.pp.tile(adata, size_um=24)
    encode(adata)
    hs.io.to_spatialdata(adata)
    return adata


def _untouched(given: dict[str, Any], returned: AnnData) -> None:
    assert _hash(given["path"]) == given["hash"]
    on_their_colours(returned)


def _without(*parts: str, **options: Any) -> Callable[[], Any]:
    """The store after parts of it are gone, opened again."""

    def build() -> Any:
        path = stored(image_map=EYE, element_map=EYE, chunks=(3, 64, 64), **options)
        for part in parts:
            gone = path / part
            assert gone.exists()
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
        return opened(path)

    return build


def _black_corner() -> Any:
    """The last chunk is black and so was never written; no spot lies there."""
    pixels = painted()
    pixels[256:, 320:] = 0
    with quiet():
        return opened(stored(pixels=pixels, image_map=EYE, element_map=EYE, chunks=(3, 64, 64)))


STORES = [
    Row("S11", "a store on disk, open elsewhere or read-only", _store, {"io.from_spatialdata": _work},
        Defined("no byte of it is written", _untouched)),
    Row("S12", "a store that lacks a chunk of the image under spots", _without("images/he/s0/c/0/1/1"), FROM,
        Raises(FileError, field="image 'he'", fix="copy it again", found="1 of 30 chunks missing from its store, [0-9]+ of 30 instances")),
    Row("S12", "a store of several scales that lacks a chunk of the finest", _without("images/he/s0/c/0/1/1", scale_factors=[2]), FROM,
        Raises(FileError, field="image 'he'", fix="copy it again", found="1 of 30 chunks missing from its store, [0-9]+ of 30 instances")),
    Row("S12", "a store that lacks a chunk of the image beside all spots", _without("images/he/s0/c/0/4/5"), FROM,
        Defined("a warning that names image and number of chunks", _on_pixels, warns="image 'he': 1 of 30 chunks missing")),
    Row("S12", "an image with a black corner, which zarr does not write", _black_corner, FROM,
        Defined("a warning that names image and number of chunks", _on_pixels, warns="image 'he': 1 of 30 chunks missing")),
    Row("S12", "a store whose table has lost X", _without("tables/table/X"), FROM,
        Raises(MissingError, field="table 'table'", fix="copy it again", found="5 genes and no X")),
    Row("S12", "a store whose table has lost a chunk of its counts", lambda: _sparse_without("data"), FROM,
        Raises(FileError, field="table 'table'", fix="copy it again", found="1 of 1 chunks of X missing")),
    Row("S12", "a store whose table has lost a chunk of its genes' numbers", lambda: _sparse_without("indices"), FROM,
        Raises(FileError, field="table 'table'", fix="copy it again", found="1 of 1 chunks of X missing")),
]  # fmt: skip


def _sparse_without(part: str) -> Any:
    import scipy.sparse as sp

    from .pictures import folder

    path = folder() / "section.zarr"
    with quiet():
        sdata = built()
        sdata["table"].X = sp.csr_matrix(sdata["table"].X)
        sdata.write(path)
        shutil.rmtree(path / "tables" / "table" / "X" / part / "c")
        return opened(path)


def _two_tables(name: str) -> Callable[[], Any]:
    def build() -> Any:
        sdata = built()
        other = table()
        other.X = other.X + 100
        with quiet():
            sdata.tables["second"] = other
            if name != "table":
                sdata.tables[name] = sdata.tables.pop("table")
        return sdata

    return build


def _that_one(given: Any, returned: AnnData) -> None:
    assert returned is given["second"]
    assert returned.X.min() >= 100
    on_their_colours(returned)
    assert "spatial" not in given["table"].obsm


TABLES = [
    Row("S13", "two tables that annotate one element, none of the usual name", _two_tables("first"), FROM,
        Raises(MissingError, field="sdata.tables", fix="Pass table_key=", found="'second'")),
    Row("S13", "two tables that annotate one element, one named", _two_tables("table"),
        {"io.from_spatialdata": lambda sdata: hs.io.from_spatialdata(sdata, table_key="second", mpp=2.0)},
        Defined("that one, and the other left alone", _that_one)),
]  # fmt: skip

ROWS = [*SHAPES, *STORES, *TABLES]
