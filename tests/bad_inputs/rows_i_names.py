"""Paths that lead to no image, unusual names, and codecs that are not installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import imagecodecs
import numpy as np
import tifffile
from anndata import AnnData
from PIL import Image

import histoscribe as hs
from histoscribe._errors import FileError, ImageError

from .pictures import (
    encode,
    folder,
    linked,
    on_their_colours,
    painted,
    quiet,
    saved,
    whole,
)  # fmt: skip
from .row import Defined, Raises, Row
from .rows_i_files import PATHS


def _no_such_folder() -> Path:
    return folder() / "nothing" / "image.png"


def _fresh(name: str) -> Path:
    path = folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(painted()).save(path)
    return path


def _is_painted(given: Any, returned: Any) -> None:
    if isinstance(returned, AnnData):
        on_their_colours(returned)
    else:
        np.testing.assert_array_equal(returned, painted())


def _linked_by(path: Path) -> AnnData:
    return linked(path)


def _gone(*, keep: bool = False) -> AnnData:
    path = saved(painted())
    adata = linked(path)
    path.unlink()
    if not keep:
        adata.uns["spatial"]["s"]["images"].clear()
    return adata


def _small(given: AnnData, returned: Any) -> None:
    with quiet():
        on_their_colours(given)


_NAMES = {
    "spaces": "my slide 1.png",
    "letters of other scripts": "Schnitt_№1_切片_é.png",
    "a path of 400 characters": "/".join(["d" * 90] * 4 + ["image.png"]),
}
NAMES = [
    *(
        Row("I24", f"a path that is {given}", build, PATHS, Raises(FileError, field=r"source|image|path", fix=fix, found=found))
        for given, build, found, fix in (
            ("not there", _no_such_folder, "nothing", "Check the path"),
            ("a folder", folder, "a folder", "Open a zarr store|Pass a file in it"),
            ("a web address", lambda: "https://example.org/slides/image.tif", "a web address", "Download the file"),
            ("a web address, as a Path", lambda: Path("https://example.org/slides/image.tif"), "a web address", "Download the file"),
            ("the address of a bucket", lambda: "s3://bucket/image.tif", "a web address", "Download the file"),
            ("a name longer than file systems allow", lambda: "n" * 300 + ".tif", "too long", "Shorten it"),
            ("in the home of nobody", lambda: "~nobody_of_this_name/image.tif", "nothing", "Check the path"),
            ("empty", lambda: "", "a folder", "."),
        )
    ),
    *(
        Row("I24", f"a path with {given}", partial(_fresh, name), {"io.open_image": whole, "io.link_image": _linked_by},
            Defined("read", _is_painted))
        for given, name in _NAMES.items()
    ),
    Row("I24", "a linked file that is gone", lambda: _gone(), {"tl.encode_image": encode, "io.open_image": hs.io.open_image,
        "pp.tissue_mask": lambda adata: hs.pp.tissue_mask(adata)},
        Raises(ImageError, field="image of 's'", fix="source_image_path", found=r"no file at .*image\.png")),
    Row("I24", "a linked file that is gone, and the small picture that is left", lambda: _gone(keep=True),
        {"io.open_image": hs.io.open_image}, Defined("the small picture, with a warning", _small, warns="no file at .* is used")),
]  # fmt: skip


@contextmanager
def _without_codec(*, stub: bool) -> Iterator[None]:
    """Make imagecodecs as it is where it was built without JPEG2000: calls raise, or there is nothing to call."""

    def decode(*_: Any, **__: Any) -> Any:
        raise imagecodecs.DelayedImportError("jpeg2k_decode")

    decode.__module__ = imagecodecs.__name__  # tifffile takes decoders of no other
    known: dict[int, Any] = vars(tifffile.TIFF.DECOMPRESSORS)["_codecs"]
    kept = dict(known)
    known.pop(34712, None)
    try:
        if stub:
            with patch.object(imagecodecs, "jpeg2k_decode", decode):
                yield
        else:
            with patch.object(tifffile.tifffile, "imagecodecs", type("Bare", (), {})):
                yield
    finally:
        known.clear()
        known.update(kept)


def _codec_rows() -> list[Row]:
    def without(call: Callable[[Any], Any], *, stub: bool) -> Callable[[Any], Any]:
        def run(path: Any) -> Any:
            with _without_codec(stub=stub):
                return call(path)

        return run

    said = Raises(
        ImageError, field=r"image\.tif", fix="pip install --upgrade imagecodecs", found="codec that is not installed"
    )
    given = "a TIFF in JPEG2000 where imagecodecs "
    made: Callable[[], Path] = lambda: saved(painted(), "image.tif", tile=(64, 64), compression="jpeg2000")  # noqa: E731
    return [
        Row("I25", given + ("is built without it" if stub else "is missing"), made,
            {name: without(call, stub=stub) for name, call in PATHS.items()}, said)
        for stub in (True, False)
    ]  # fmt: skip


def _jp2() -> Path:
    path = folder() / "image.jp2"
    path.write_bytes(imagecodecs.jpeg2k_encode(painted(), level=0))
    return path


CODECS = [
    *_codec_rows(),
    Row("I25", "a bare JPEG2000 file", _jp2, PATHS,
        Raises(ImageError, field=r"image\.jp2", fix="Convert it to a tiled pyramidal TIFF", found="begins with")),
]  # fmt: skip

ROWS = [*NAMES, *CODECS]
