"""Tiles outside the image, blank tiles, slides that are not where they seem, and images of other sections."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import ImageError

from . import sections
from .pictures import (
    bare,
    colours,
    encode,
    folder,
    linked,
    painted,
    places,
    quiet,
    saved,
)  # fmt: skip
from .row import Defined, Raises, Row

CUT = 38  # pixels cut off on the left: the first column's tiles, 12 pixels wide, reach 4 pixels out


def _partly() -> AnnData:
    xy = places() - [CUT, 0]
    return linked(painted()[:, CUT:], xy=xy)


def _mixed(given: AnnData, returned: Any) -> None:
    """A third of the tile of each spot of the first column is white."""
    expected = colours() / 255
    expected[::6] = (expected[::6] * 8 + 4) / 12
    np.testing.assert_allclose(given.obsm["X_image"], expected, atol=0.01)
    assert given.obs["X_image_valid"].all()


def _kept(given: AnnData, returned: Any) -> None:
    np.testing.assert_allclose(given.obsm["tiles"][::6, 0], -4.0)
    assert given.obs["tiles_valid"].all()


def _white_outside(given: Any, returned: NDArray) -> None:
    pixels = np.full((290, 350, 3), 255, dtype=np.uint8)
    pixels[5:285, 10:340] = painted()
    np.testing.assert_allclose(returned.astype(int), pixels.astype(int), atol=given["atol"])


def _far() -> AnnData:
    adata = linked(painted())
    adata.obsm["spatial"][:2] = [[-500, 40], [5000, 40]]
    return adata


def _flagged(given: AnnData, returned: Any) -> None:
    assert not given.obsm["X_image"][:2].any()
    np.testing.assert_array_equal(np.flatnonzero(~given.obs["X_image_valid"]), [0, 1])
    np.testing.assert_allclose(given.obsm["X_image"][2:], colours()[2:] / 255, atol=0.01)


def _no_share(given: AnnData, returned: Any) -> None:
    np.testing.assert_array_equal(given.obs["tissue_fraction"].iloc[:2], [0, 0])


def _retiled(call: Any) -> Any:
    def run(adata: AnnData) -> Any:
        hs.pp.tile(adata, size_um=24)
        return call(adata)

    return run


def _beside() -> AnnData:
    adata = linked(painted())
    adata.obsm["spatial"] += 1000
    adata.obsm["tiles"][:, :2] += 1000
    return adata


def _formats() -> list[Row]:
    made = {
        "PNG": lambda: (saved(painted()), 0),
        "JPEG": lambda: (saved(painted(), "image.jpg", quality=100, subsampling=0), 12),
        "TIFF in strips": lambda: (saved(painted(), "image.tif", rowsperstrip=16), 0),
        "TIFF in tiles": lambda: (saved(painted(), "image.tif", tile=(64, 48), compression="zlib"), 0),
        "array": lambda: (painted(), 0),
    }

    def read(given: dict[str, Any]) -> NDArray:
        with hs.io.open_image(given["image"]) as image:
            return image.read(-10, -5, 350, 290)

    def build(make: Any) -> Any:
        return lambda: dict(zip(("image", "atol"), make(), strict=True))

    says = Defined("what lies outside is white, as in every format", _white_outside)
    return [
        Row("I18", f"a region over all borders of a {name}", build(make), {"io.open_image": read}, says)
        for name, make in made.items()
    ]


OUTSIDE = [
    Row("I8", "tiles that reach over the border", _partly, {"tl.encode_image": encode},
        Defined("padded with white, spot kept", _mixed)),
    Row("I8", "tiles that reach over the border", _partly, {"pp.tile": lambda adata: hs.pp.tile(adata, size_um=24)},
        Defined("boxes reach over the border, spot kept", _kept)),
    Row("I8", "tiles far outside, of few spots", _far, {"tl.encode_image": _retiled(encode)},
        Defined("flagged, with a row of zeros and a warning", _flagged, warns="2 of 30 outside the image")),
    Row("I8", "tiles far outside, of few spots", _far, {"pp.tissue_mask": _retiled(lambda adata: hs.pp.tissue_mask(adata))},
        Defined("no tissue", _no_share)),
    Row("I8", "all tiles outside", _beside,
        {
            "tl.encode_image": encode, "pp.tile": lambda adata: hs.pp.tile(adata),
            "io.link_image": lambda adata: hs.io.link_image(adata, painted()),
        },
        Raises(ImageError, field="spatial|positions|tiles", fix="image", found="0% of 30|30 of 30")),
    *_formats(),
]  # fmt: skip


def _mirax() -> Path:
    """What a MIRAX slide's own file is: a small JPEG."""
    path = saved(painted(), "slide.jpg")
    return path.rename(path.with_suffix(".mrxs"))


def _ventana() -> Path:
    path = folder() / "slide.tif"
    xml = b'<?xml version="1.0"?><EncodeInfo><iScan Magnification="20" ScanRes="0.46"></iScan></EncodeInfo>'
    options: dict[str, Any] = {"photometric": "rgb", "tile": (64, 64), "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            painted()[::4, ::4].copy(), description="Label Image", extratags=[(700, 1, len(xml), xml, True)], **options
        )
        tiff.write(painted(), description="level=0 mag=20 quality=95", **options)
    return path


_PATHS = {
    "io.open_image": hs.io.open_image,
    "io.link_image": lambda path: hs.io.link_image(bare(), path, mpp=2.0),
    "io.tile_slide": lambda path: hs.io.tile_slide(path, mpp=2.0),
    "pp.fit_stain": lambda path: hs.pp.fit_stain(path),
}
SLIDES = [
    Row("I17", "a MIRAX slide, whose own file is a small JPEG of it", _mirax, _PATHS,
        Raises(ImageError, field=r"slide\.mrxs", fix="vips tiffsave", found="MIRAX")),
    Row("I17", "a Ventana slide, whose tiles overlap", _ventana, _PATHS,
        Raises(ImageError, field=r"slide\.tif", fix="vips tiffsave", found="tiles overlap")),
]  # fmt: skip


def _blank() -> AnnData:
    adata = linked(np.full((280, 330, 3), 255, dtype=np.uint8))
    with quiet():
        encode(adata)
        adata.obsm["expected"] = adata.obsm["X_image"].copy()
    return adata


@cache
def _stain() -> Any:
    return hs.pp.fit_stain(sections.plain())


def _blank_tiles() -> NDArray:
    tiles = np.full((3, 32, 32, 3), 255, dtype=np.uint8)
    tiles[1], tiles[2] = 0, 128
    return tiles


def _unchanged(given: NDArray, returned: Any) -> None:
    tiles, changed = returned
    np.testing.assert_array_equal(tiles, _blank_tiles())
    assert not changed.any()


def _degenerate(given: Any, returned: Any) -> None:
    assert returned.degenerate
    assert np.isfinite(np.asarray(returned.vectors if returned.vectors is not None else returned.mean)).all()


def _as_without(given: AnnData, returned: Any) -> None:
    np.testing.assert_array_equal(given.obsm["X_image"], given.obsm["expected"])


def _finite(given: AnnData, returned: Any) -> None:
    assert np.isfinite(given.obsm["X_image"]).all()
    assert given.obs["X_image_valid"].all()


BLANK = [
    Row("I20", "white, black and grey tiles", _blank_tiles,
        {"pp.normalize_stain": lambda tiles: hs.pp.normalize_stain(tiles, _stain())},
        Defined("returned as they are, and flagged", _unchanged)),
    Row("I20", "white, black and grey tiles", _blank_tiles,
        {"pp.fit_stain": lambda tiles: hs.pp.fit_stain(tiles), "pp.fit_stain reinhard": lambda tiles: hs.pp.fit_stain(tiles, "reinhard")},
        Defined("a stain that is marked, with a warning", _degenerate, warns="marked degenerate")),
    Row("I20", "a blank slide", _blank,
        {"tl.encode_image stain": lambda adata: hs.tl.encode_image(adata, "mean_rgb", stain=_stain(), cache=False)},
        Defined("encoded as it is, with a warning", _as_without, warns="marked degenerate")),
    Row("I20", "a blank slide", _blank, {"tl.encode_image stain_stats": lambda adata: hs.tl.encode_image(adata, "stain_stats", cache=False)},
        Defined("finite vectors", _finite)),
    Row("I20", "a blank slide", _blank, {"pp.tissue_mask": lambda adata: hs.pp.tissue_mask(adata)},
        Defined("no tissue, with a warning", lambda given, returned: _none(given), warns="no tissue was found")),
    Row("I20", "a blank slide", lambda: saved(np.full((280, 330, 3), 255, dtype=np.uint8)),
        {"io.tile_slide": lambda path: hs.io.tile_slide(path, mpp=2.0)},
        Raises(ImageError, field=r"image\.png", fix="min_tissue=", found="none of")),
]  # fmt: skip


def _none(adata: AnnData) -> None:
    assert (adata.obs["tissue_fraction"] == 0).all()


ROWS = [*OUTSIDE, *SLIDES, *BLANK]
