"""Images of another kind than 8-bit RGB: grey, deep, of floats, with alpha, of other colours and axes."""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import ImageError

from . import sections
from .pictures import (
    bare,
    closed,
    drawn,
    encode,
    linked,
    painted,
    places,
    quiet,
    saved,
    seen,
    st_tables,
)  # fmt: skip
from .row import Defined, Raises, Row
from .spatials import of_image

Made = Callable[[], NDArray]


def _grey() -> NDArray:
    return painted()[..., :1]


def _deep_grey() -> NDArray:
    return painted()[..., 0].astype(np.uint16) * 257


def _deep() -> NDArray:
    return painted().astype(np.uint16) * 16  # 12 bits in 16, as cameras give


def _floats() -> NDArray:
    return painted().astype(np.float32)


def _signed() -> NDArray:
    return painted().astype(np.float32) / 127.5 - 1


def _gaps() -> NDArray:
    pixels = painted().astype(np.float32) / 255
    pixels[0, 0, 0] = np.nan
    return pixels


def _many() -> NDArray:
    return np.concatenate([painted(), painted()[..., ::-1]], axis=2)


KINDS: tuple[tuple[str, str, Made, str], ...] = (
    ("I1", "a grey image", _grey, r"np\.repeat\(pixels, 3"),
    ("I3", "a grey image of 16 bits", _deep_grey, r"scaled to 0-255 as np\.uint8"),
    ("I3", "an RGB image of 16 bits", _deep, r"range that you know: .*astype\(np\.uint8\)"),
    ("I4", "an RGB image of floats from 0 to 255", _floats, r"range that you know"),
    ("I4", "an RGB image of floats from -1 to 1", _signed, r"range that you know"),
    ("I4", "an RGB image of floats from 0 to 1 with NaN", _gaps, r"range that you know"),
    ("I19", "six channels of immunofluorescence", _many, r"choose three channels: pixels\[\.\.\., \[0, 1, 2\]\]"),
)


class _Own:
    """An encoder of the user's, which checks nothing itself."""

    name, size, mpp, sha256 = "own", 16, 1.5, "0"

    def __call__(self, tiles: Any) -> NDArray:
        return np.asarray(tiles, dtype=np.float32).mean(axis=(1, 2))


def _given(make: Made) -> Callable[[], dict[str, Any]]:
    def build() -> dict[str, Any]:
        pixels = make()
        stored = pixels[..., 0] if pixels.shape[2:] == (1,) else pixels
        return {
            "adata": linked(pixels),
            "pixels": pixels,
            "path": saved(stored, "image.tif", resolution=(12_700, 12_700)),
        }

    return build


@cache
def fitted_stain() -> Any:
    with quiet():
        return hs.pp.fit_stain(sections.plain())


REFUSE: dict[str, Callable[[Any], Any]] = {
    "tl.encode_image": lambda given: encode(given["adata"]),
    "tl.encode_image stain_stats": lambda given: hs.tl.encode_image(given["adata"], "stain_stats", cache=False),
    "tl.encode_image an encoder of the user's": lambda given: hs.tl.encode_image(given["adata"], _Own(), cache=False),
    "pp.fit_stain": lambda given: hs.pp.fit_stain(given["adata"]),
    "pp.fit_stain of a path": lambda given: hs.pp.fit_stain(given["path"]),
    "pp.tissue_mask": lambda given: hs.pp.tissue_mask(given["adata"]),
    "io.tile_slide": lambda given: hs.io.tile_slide(given["path"], mpp=2.0),
}
PIXELS: dict[str, Callable[[Any], Any]] = {
    "pp.fit_stain": lambda given: hs.pp.fit_stain(given["pixels"]),
    "pp.normalize_stain": lambda given: hs.pp.normalize_stain(given["pixels"], fitted_stain()),
}


def _spatialdata(given: Any) -> Any:
    return hs.io.from_spatialdata(of_image(given["pixels"]), mpp=2.0)


def read_st(given: Any) -> Any:
    counts, spots = st_tables()
    return hs.io.read_st(counts, given["pixels"], spots=spots)


def _link(given: Any) -> Any:
    adata = bare()
    hs.io.link_image(adata, given["path"], mpp=2.0)
    return adata


LINK: dict[str, Callable[[Any], Any]] = {
    "io.link_image": _link,
    "io.read_st": read_st,
    "io.from_spatialdata": _spatialdata,
}


def _linked_as_it_is(given: Any, returned: Any) -> None:
    pixels = np.atleast_3d(given["pixels"]).astype(float)
    at = places().astype(int)
    np.testing.assert_allclose(seen(returned), pixels[at[:, 1], at[:, 0]], rtol=1e-6)


def _says_why(given: Any, returned: Any) -> None:
    last = returned.iloc[-1]
    assert "not 8-bit RGB" in last["found"]
    assert last["found"].startswith("cannot tell")
    assert returned.set_index("check").loc["tissue", "ok"] is not True


def _same_boxes(given: Any, returned: Any) -> None:
    np.testing.assert_allclose(given["adata"].obsm["tiles"][:, :2] + 6, places())


def _is_drawn(given: Any, returned: Any) -> None:
    assert np.isfinite(returned).all()
    assert np.ptp(returned, axis=0).max() > 0  # not one colour all over


def _draw(given: Any) -> Any:
    return drawn(hs.pl.spatial(given["adata"], image=True, alpha=0.0), places())


def _rows_of(name: str, given: str, make: Made, fix: str) -> list[Row]:
    build = _given(make)
    grey = name == "I1"
    refuse = {key: call for key, call in REFUSE.items() if not (grey and key in ("pp.tissue_mask", "io.tile_slide"))}
    linked_with = Defined(
        "linked as it is, with a warning that names the way to 8-bit RGB", _linked_as_it_is, warns="need 8-bit RGB"
    )
    link = {key: call for key, call in LINK.items() if not (key == "io.from_spatialdata" and make is _deep_grey)}
    rows = [
        Row(name, given, build, refuse, Raises(ImageError, field=r"image\.tif|array", fix=fix, found="channel")),
        Row(name, given, build, PIXELS, Raises(ImageError, field="image", fix="8 bit", found="shape")),
        Row(name, given, build, link, linked_with),
        Row(
            name, given, build,
            {"pp.tile": lambda given: hs.pp.tile(given["adata"], size_um=24)},
            Defined("boxes do not depend on it", _same_boxes),
        ),
        Row(
            name, given, build,
            {"pl.spatial": _draw, "pl.panels": closed(lambda given: drawn(hs.pl.panels(given["adata"], "0"), places()))},
            Defined("drawn: the first channel in grey, or colours by their range", _is_drawn),
        ),
    ]  # fmt: skip
    if grey:
        return rows
    check = {"pp.check_registration": lambda given: hs.pp.check_registration(given["adata"])}
    return [*rows, Row(name, given, build, check, Defined("cannot tell: the image is not 8-bit RGB", _says_why))]


ROWS = [row for kind in KINDS for row in _rows_of(*kind)]
