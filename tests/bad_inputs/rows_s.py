"""Rows of the catalogue: SpatialData."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import MissingError, OptionError

from . import rows_s_stores
from .pictures import HEIGHT, WIDTH, N, colours, drawn, encode, painted, places, quiet
from .row import Defined, Elsewhere, Raises, Row
from .spatials import EYE, ROTATED, SHEARED, SWAPPED, affine, built, on_their_colours

FROM: dict[str, Callable[[Any], Any]] = {"io.from_spatialdata": lambda sdata: hs.io.from_spatialdata(sdata, mpp=2.0)}


def _by_name(given: Any, returned: AnnData) -> None:
    """Rows in any order hold what the rows of the painted order hold."""
    on_their_colours(returned)
    with quiet():
        plain = hs.io.from_spatialdata(built(order=np.arange(N)), mpp=2.0)
    order = returned.obs["k"].to_numpy(int)
    np.testing.assert_allclose(returned.obsm["spatial"], plain.obsm["spatial"][order], atol=1e-9)
    np.testing.assert_array_equal(returned.X, plain.X[order])


def _encoded(given: Any, returned: AnnData) -> None:
    order = returned.obs["k"].to_numpy(int)
    np.testing.assert_allclose(returned.obsm["X_image"], colours()[order] / 255, atol=0.01)


def _through(sdata: Any) -> AnnData:
    adata = hs.io.from_spatialdata(sdata, mpp=2.0)
    hs.pp.tile(adata, size_um=24)
    encode(adata)
    return adata


def _back(sdata: Any) -> AnnData:
    adata = hs.io.from_spatialdata(sdata, mpp=2.0)
    again = hs.io.to_spatialdata(adata)
    circles = again["circles_spots"]  # the other element order: rows of the element are turned round
    again.shapes["circles_spots"] = circles.iloc[::-1]
    return hs.io.from_spatialdata(again, mpp=2.0)


def _changed(change: Callable[[Any], Any], **options: Any) -> Callable[[], Any]:
    def build() -> Any:
        sdata = built(**options)
        with quiet():
            change(sdata)
        return sdata

    return build


def _integers(sdata: Any) -> None:
    sdata["table"].obs["id"] = np.arange(N)


def _numbers_in_the_element(sdata: Any) -> None:
    sdata["circles"].index = np.arange(N)


def _other_region(sdata: Any) -> None:
    sdata["table"].obs["where"] = pd.Categorical(["squares"] * N)
    sdata["table"].uns["spatialdata_attrs"]["region"] = "squares"


def _one_less(sdata: Any) -> None:
    sdata.shapes["circles"] = sdata["circles"].iloc[3:]


def _two_alike(sdata: Any) -> None:
    index = list(sdata["circles"].index)
    index[1] = index[0]
    sdata["circles"].index = index


JOIN = [
    Row("S1", "a table in another order than its element", built, FROM, Defined("joined by region and id", _by_name)),
    Row("S1", "a table in another order than its element", built, {"io.from_spatialdata tl.encode_image": _through},
        Defined("each row has the vector of its own pixels", _encoded)),
    Row("S1", "an element in another order than its table", built, {"io.to_spatialdata": _back},
        Defined("there and back: joined by region and id", lambda given, returned: on_their_colours(returned))),
    Row("S2", "integer ids in the table, text in the element", _changed(_integers), FROM,
        Raises(OptionError, field="instance ids of 'circles'", fix=r"astype\(element\.index\.dtype\)", found="int64 in the table")),
    Row("S2", "text ids in the table, integers in the element", _changed(_numbers_in_the_element), FROM,
        Raises(OptionError, field="instance ids of 'circles'", fix=r"astype\(element\.index\.dtype\)", found="int64 in the element")),
    Row("S3", "a table that annotates an element that is not there", _changed(_other_region), FROM,
        Raises(MissingError, field="sdata", fix="region column", found=r"only \['he', 'circles'\]")),
    Row("S4", "instances that the element does not have", _changed(_one_less), FROM,
        Raises(MissingError, field="instance ids", fix="match_table_to_element", found="3 of 30 not in the element")),
    Row("S4", "an id that the element has twice", _changed(_two_alike), FROM,
        Raises(OptionError, field="instance ids", fix="unique", found="duplicates")),
    Row("S5", "image and circles without a common coordinate system", lambda: built(element_system="other"), FROM,
        Raises(MissingError, field="coordinate systems", fix="set_transformation", found=r"'circles': \['other'\], 'he': \['aligned'\]")),
]  # fmt: skip


def _on_pixels(given: Any, returned: AnnData) -> None:
    on_their_colours(returned)
    np.testing.assert_allclose(returned.obsm["spatial"], places()[returned.obs["k"].to_numpy(int)], atol=1e-6)


def _drawn_there(sdata: Any) -> Any:
    adata = hs.io.from_spatialdata(sdata, mpp=2.0)
    return adata, drawn(hs.pl.spatial(adata, alpha=0.0), adata.obsm["spatial"])


def _colours_drawn(given: Any, returned: tuple[AnnData, NDArray]) -> None:
    adata, shown = returned
    np.testing.assert_allclose(shown, colours()[adata.obs["k"].to_numpy(int)], atol=2)


MAPS = {
    "a rotation": ROTATED, "a shear": SHEARED, "x and y exchanged": SWAPPED, "a mirror": np.diag([-1.0, 1, 1]),
    "other scales in x and y": np.diag([3.0, 0.5, 1]),
}  # fmt: skip
AFFINE = [
    *(
        Row("S6", f"{given} between image and circles", partial(built, image_map=matrix, element_map=EYE), FROM,
            Defined("resolved exactly, never reduced to a scale", _on_pixels))
        for given, matrix in MAPS.items()
    ),
    Row("S6", "a rotation between image and circles", built, {"io.from_spatialdata pl.spatial": _drawn_there},
        Defined("drawn where the image shows them", _colours_drawn)),
    Row("S6", "a map of the image without an inverse", lambda: built(image_map=EYE, element_map=EYE), {
        "io.from_spatialdata": lambda sdata: _singular(sdata)},
        Raises(OptionError, field="transformation of 'he'", fix="invertible", found="no inverse")),
]  # fmt: skip


def _singular(sdata: Any) -> Any:
    from spatialdata.transformations import set_transformation

    set_transformation(sdata["he"], affine(np.diag([1.0, 0, 1])), "aligned")
    return hs.io.from_spatialdata(sdata, mpp=2.0)


SIZE_ODD = (WIDTH + 1, HEIGHT + 1)  # no level is exactly half


def _at_scale(sdata: Any, mpp: float) -> NDArray:
    """How far off, in output pixels (30, 2), the discs' centres are where the image is read at a coarser scale."""
    with hs.io.open_image(sdata["he"], mpp=1.0) as image:
        out = np.empty((N, 2))
        for k, (x, y) in enumerate(places()):
            box = np.array([x - 20.3, y - 20.7, 40.0, 40.0])  # fractions
            cover = 255.0 - image.read(*box, mpp=mpp)[..., 2]
            step = 40.0 / cover.shape[0]
            along = (np.arange(len(cover)) + 0.5) * step
            out[k] = box[:2] + [(cover.sum(axis=0) * along).sum(), (cover.sum(axis=1) * along).sum()] / cover.sum()
    return (out - places()) / mpp


def _within(most: float) -> Callable[[Any, Any], None]:
    def check(given: Any, returned: NDArray) -> None:
        assert np.abs(returned).max() < most

    return check


def _cropped(sdata: Any) -> AnnData:
    """A crop by whole pixels, as spatialdata makes it: its transformation tells where it was."""
    from spatialdata import bounding_box_query

    options = {"axes": ("x", "y"), "min_coordinate": [13, 7], "max_coordinate": [323, 270]}
    crop = bounding_box_query(sdata["he"], target_coordinate_system="aligned", **options)
    sdata.images["he"] = crop
    return hs.io.from_spatialdata(sdata, mpp=2.0)


def _on_crop(given: Any, returned: AnnData) -> None:
    on_their_colours(returned)
    np.testing.assert_allclose(returned.obsm["spatial"] + [13, 7], places()[returned.obs["k"].to_numpy(int)], atol=1e-6)


def _pyramid(factors: Any, **options: Any) -> Callable[[], Any]:
    pixels = painted(size=SIZE_ODD)
    return lambda: built(pixels=pixels, image_map=EYE, element_map=EYE, scale_factors=factors, **options)


_LAYOUTS: dict[str, dict[str, Any]] = {
    "of several scales": {"scale_factors": [2, 2]},
    "whose channels have numbers for names": {"names": False},
    "of several scales, whose channels have numbers": {"scale_factors": [2], "names": False},
}
SCALES = [
    *(
        Row("S7", f"an image {given}", partial(built, **options), FROM,
            Defined("read by the names of its axes, the finest scale", _on_pixels))
        for given, options in _LAYOUTS.items()
    ),
    *(
        Row("S8", f"scales {factors} of 331 x 281 pixels", _pyramid(factors), {
            f"io.open_image at {mpp} um": partial(_at_scale, mpp=mpp) for mpp in (2.0, 2.3, 4.0)},
            Defined("within a quarter of an output pixel, by the scale of each level and axis", _within(0.27)))
        for factors in ([2, 2], [3], [{"x": 2, "y": 4}])
    ),
    Row("S9", "boxes at fractions of a pixel", _pyramid(None), {
        f"io.open_image at {mpp} um": partial(_at_scale, mpp=mpp) for mpp in (1.0, 2.0, 5.0)},
        Defined("within a tenth of a pixel", _within(0.1))),
    Row("S9", "an image that spatialdata has cropped", lambda: built(image_map=EYE, element_map=EYE), {"io.from_spatialdata": _cropped},
        Defined("positions in the frame of the crop", _on_crop)),
]  # fmt: skip


ROWS: list[Row | Elsewhere] = [*JOIN, *AFFINE, *SCALES, *rows_s_stores.ROWS]

LEFT_OUT: dict[str, str] = {}
