"""Images with alpha, of other colour models, with red and blue exchanged, with channels first."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import ImageError

from . import sections
from .pictures import (
    bare,
    colours,
    encode,
    encoded_colours,
    linked,
    on_their_colours,
    painted,
    places,
    quiet,
    saved,
    seen,
    whole,
)  # fmt: skip
from .row import Defined, Raises, Row
from .rows_i_kinds import fitted_stain, read_st


def _rgba() -> NDArray:
    """Spots as painted; all around is transparent, over black."""
    pixels = painted()
    clear = (pixels == 255).all(axis=2)
    pixels[clear] = 0
    return np.dstack([pixels, np.where(clear, 0, 255).astype(np.uint8)])


def _over_white(given: Any, returned: Any) -> None:
    np.testing.assert_array_equal(returned, painted())


def _half_clear() -> dict[str, Any]:
    """A planted section whose left half is transparent over black, and the same painted white there."""
    adata, white = sections.plain(), sections.plain()
    pixels = adata.uns["spatial"]["toy_1"]["images"]["hires"]
    left = pixels.shape[1] // 2
    alpha = np.full(pixels.shape[:2], 255, dtype=np.uint8)
    alpha[:, :left] = 0
    white.uns["spatial"]["toy_1"]["images"]["hires"] = np.where(alpha[..., None] == 255, pixels, 255).astype(np.uint8)
    adata.uns["spatial"]["toy_1"]["images"]["hires"] = np.dstack([np.where(alpha[..., None] == 255, pixels, 0), alpha])
    for one in (adata, white):
        hs.pp.tile(one)
    return {"adata": adata, "white": white}


def _no_tissue_there(given: dict[str, Any], returned: Any) -> None:
    hs.pp.tissue_mask(given["white"])
    share = given["adata"].obs["tissue_fraction"]
    np.testing.assert_array_equal(share, given["white"].obs["tissue_fraction"])
    assert 0.3 < (share == 0).mean() < 0.7


def _colours(given: Any, returned: Any) -> None:
    encoded_colours(given)


def _palette() -> Any:
    from PIL import Image

    from .pictures import folder

    path = folder() / "palette.png"
    Image.fromarray(painted()).quantize(64).save(path)
    return path


def _ycbcr() -> Any:
    return saved(painted(), "ycbcr.tif", compression="jpeg", compressionargs={"level": 98}, tile=(64, 64))


def _cmyk(name: str) -> Callable[[], Any]:
    def build() -> Any:
        from PIL import Image

        from .pictures import folder

        path = folder() / name
        Image.fromarray(painted()).convert("CMYK").save(path)
        return path

    return build


def _near(given: Any, returned: Any) -> None:
    at = places().astype(int)
    np.testing.assert_allclose(returned[at[:, 1], at[:, 0]].astype(float), colours(), atol=6)


def _link_path(path: Any) -> Any:
    adata = bare()
    hs.io.link_image(adata, path, mpp=2.0)
    return adata


def _near_linked(given: Any, returned: Any) -> None:
    on_their_colours(returned, atol=6)


ALPHA: list[Row] = [
    Row(
        "I2", "an image with alpha, transparent around the discs", _rgba,
        {
            "io.open_image": whole,
            "io.open_image of a PNG": lambda pixels: whole(saved(pixels)),
            "io.open_image of a TIFF": lambda pixels: whole(saved(pixels, "image.tif", extrasamples=["unassalpha"])),
        },
        Defined("composited over white, in every format", _over_white),
    ),
    Row(
        "I2", "a linked image with alpha", _half_clear,
        {"pp.tissue_mask": lambda given: hs.pp.tissue_mask(given["adata"])},
        Defined("what is transparent is white, and no tissue", _no_tissue_there),
    ),
    Row("I2", "a linked image with alpha", lambda: linked(_rgba()), {"tl.encode_image": encode},
        Defined("vectors of the colours over white", _colours)),
    Row("I2", "alpha as scanpy reads it, floats from 0 to 1",
        lambda: linked((_rgba() / 255).astype(np.float32)), {"tl.encode_image": encode},
        Defined("brought back to 8 bits and composited over white", _colours)),
    Row("I4", "an RGB picture of floats from 0 to 1, as scanpy reads it",
        lambda: linked((painted() / 255).astype(np.float32)), {"tl.encode_image": encode},
        Defined("brought back to 8 bits", _colours)),
    Row("I5", "a palette PNG", _palette, {"io.open_image": whole}, Defined("looked up: RGB", _near)),
    Row("I5", "a palette PNG", _palette, {"io.link_image": _link_path}, Defined("looked up: RGB", _near_linked)),
    Row("I5", "a TIFF in YCbCr", _ycbcr, {"io.open_image": whole}, Defined("converted to RGB", _near)),
    Row("I5", "a TIFF in YCbCr", _ycbcr, {"io.link_image": _link_path}, Defined("converted to RGB", _near_linked)),
    *(
        Row("I5", f"a {name.split('.')[-1].upper()} in CMYK", _cmyk(name),
            {"io.open_image": whole, "io.link_image": _link_path, "io.tile_slide": lambda p: hs.io.tile_slide(p, mpp=2.0),
             "pp.fit_stain": lambda path: hs.pp.fit_stain(path)},
            Raises(ImageError, field=rf"image\.{name.split('.')[-1]}", fix="Convert it", found="colour model"))
        for name in ("image.jpg", "image.tif")
    ),
]  # fmt: skip


def _toy() -> dict[str, Any]:
    adata = sections.plain()
    pixels = adata.uns["spatial"]["toy_1"]["images"]["hires"]
    right = sections.plain()
    del adata.uns["spatial"]
    return {"adata": adata, "pixels": pixels[..., ::-1], "right": right}


def _relinked(given: dict[str, Any], image: Any) -> Any:
    hs.io.link_image(given["adata"], image, mpp=2.0)
    return given["adata"]


def _exchanged_and_mended(given: dict[str, Any], returned: Any) -> None:
    """The warning's way out gives the right colours back."""
    with quiet():
        hs.io.link_image(given["adata"], given["pixels"][..., ::-1], mpp=2.0)
    np.testing.assert_array_equal(seen(given["adata"]), seen(given["right"]))


def _st_of_toy(given: dict[str, Any]) -> Any:
    xy = given["adata"].obsm["spatial"]
    names = [f"{k % 8}x{k // 8}" for k in range(len(xy))]
    spots = pd.DataFrame({"x": [int(n.split("x")[0]) for n in names], "y": [int(n.split("x")[1]) for n in names]})
    counts = pd.DataFrame(np.ones((len(xy), 2)), index=names, columns=["a", "b"])
    with_pixels = spots.assign(pixel_x=xy[:, 0], pixel_y=xy[:, 1])
    return hs.io.read_st(counts, given["pixels"], spots=with_pixels, mpp=2.0)


AXES: tuple[tuple[str, tuple[int, ...]], ...] = (
    ("channels come first", (3, 280, 330)),
    ("either end may be the channels", (3, 280, 3)),
    ("either end may be the channels, with alpha", (4, 280, 3)),
)


def _axes_rows() -> list[Row]:
    tried: dict[str, Callable[[Any], Any]] = {
        "io.open_image": hs.io.open_image,
        "io.link_image": _link_path,
        "io.read_st": lambda pixels: read_st({"pixels": pixels}),
    }
    error = Raises(ImageError, field="array|image", fix=r"np\.moveaxis\(image, 0, -1\)", found="shape")
    rows = [
        Row("I7", f"an array whose {given}", partial(np.full, shape, 90, dtype=np.uint8), tried, error)
        for given, shape in AXES
    ]
    stain = {
        "pp.fit_stain": lambda pixels: hs.pp.fit_stain(pixels),
        "pp.normalize_stain": lambda pixels: hs.pp.normalize_stain(pixels, fitted_stain()),
    }
    refused = Raises(ImageError, field="image", fix="three channels last", found="shape")
    return [
        *rows,
        Row("I7", "tiles whose channels come first", lambda: np.full((3, 64, 64), 90, np.uint8), stain, refused),
    ]


BGR = [
    Row("I6", "an image whose red and blue are exchanged, as cv2 reads it", _toy,
        {
            "io.link_image": lambda given: _relinked(given, given["pixels"]),
            "io.link_image of a file": lambda given: _relinked(given, saved(given["pixels"])),
            "io.read_st": _st_of_toy,
        },
        Defined("linked, with a warning; its way out gives the colours back", _exchanged_and_mended,
                warns="red and blue appear exchanged")),
    Row("I6", "an image whose red and blue are exchanged", lambda: sections.plain().uns["spatial"]["toy_1"]["images"]["hires"][..., ::-1],
        {"io.tile_slide": lambda pixels: hs.io.tile_slide(saved(pixels), mpp=2.0), "pp.fit_stain": lambda pixels: hs.pp.fit_stain(pixels),
         "pp.fit_stain of a path": lambda pixels: hs.pp.fit_stain(saved(pixels))},
        Defined("done, with a warning", lambda given, returned: None, warns="red and blue appear exchanged")),
]  # fmt: skip

ROWS = [*ALPHA, *BGR, *_axes_rows()]
