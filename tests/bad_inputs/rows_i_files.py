"""Image files that are huge, bombs, or turned."""

import struct
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image

import histoscribe as hs
from histoscribe._errors import ImageError

from .pictures import (
    bare,
    closed,
    colours,
    encode,
    folder,
    linked,
    messages,
    on_their_colours,
    painted,
    quiet,
    saved,
    st_tables,
    visium_folder,
    whole,
)  # fmt: skip
from .row import Defined, Raises, Row

PATHS: dict[str, Callable[[Any], Any]] = {
    "io.open_image": lambda path: whole(path),
    "io.link_image": lambda path: hs.io.link_image(bare(), path, mpp=2.0),
    "io.read_st": lambda path: hs.io.read_st(st_tables()[0], path, spots=st_tables()[1]),
    "io.read_visium": lambda path: hs.io.read_visium(visium_folder(), image=path),
    "io.tile_slide": lambda path: hs.io.tile_slide(path, mpp=2.0),
    "pp.fit_stain": lambda path: hs.pp.fit_stain(path),
}
SIDE = 60_000


def _huge() -> AnnData:
    """16,384 x 16,384 pixels, 805 MB: tiles of glass that the file leaves out but for those under 5 spots."""
    path = folder() / "huge.tif"
    side, reduced = 16_384, 8
    n = -(-side // 512)
    tissue = {(3, 3), (3, 28), (16, 16), (28, 10), (30, 30)}
    tile = np.full((512, 512, 3), (180, 90, 160), dtype=np.uint8)

    def tiles() -> Iterator[NDArray | None]:
        for row in range(n):
            for column in range(n):
                if (row, column) == (0, 0):
                    yield np.full_like(tile, 255)  # the writer learns the type from the first
                else:
                    yield tile if (row, column) in tissue else None

    options: dict[str, Any] = {"tile": (512, 512), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(tiles(), shape=(side, side, 3), dtype=np.uint8, subifds=1, **options)
        small = np.full((side // reduced, side // reduced, 3), 255, dtype=np.uint8)
        cell = 512 // reduced
        for row, column in tissue:
            small[row * cell : (row + 1) * cell, column * cell : (column + 1) * cell] = (180, 90, 160)
        tiff.write(small, subfiletype=1, **options)
    adata = AnnData(np.ones((5, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.array([[c * 512 + 256, r * 512 + 256] for r, c in sorted(tissue)], dtype=float)
    with quiet():
        hs.io.link_image(adata, path, mpp=0.5, library_id="s")
        hs.pp.tile(adata)
    return adata


def _peak(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(given: Any) -> Any:
        tracemalloc.start()
        try:
            call(given)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    return run


def _bounded(given: AnnData, peak: int) -> None:
    assert peak < 200 << 20
    if "X_image" in given.obsm:
        np.testing.assert_allclose(given.obsm["X_image"], np.array([[180, 90, 160]] * 5) / 255, atol=1e-6)


def _png_bomb() -> Path:
    """A PNG of 70 bytes that says it has 3.6 thousand million pixels."""
    path = folder() / "bomb.png"

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )
    return path


def _jpeg_bomb() -> Path:
    path = saved(painted(), "bomb.jpg")
    content = bytearray(path.read_bytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", SIDE, SIDE)
    path.write_bytes(content)
    return path


def _strip_bomb() -> Path:
    """One strip of 60,000 rows: nothing of it can be read without all of it."""
    path = folder() / "bomb.tif"
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            iter([b"x"]),
            shape=(SIDE, SIDE, 3),
            dtype=np.uint8,
            rowsperstrip=SIDE,
            photometric="rgb",
            compression="zlib",
        )
    return path


def _tile_bomb() -> Path:
    """A tile of 64 x 64 pixels that unpacks to 400 MB."""
    path = folder() / "bomb.tif"
    packed = zlib.compress(bytes(400 << 20), 9)
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            iter([packed]), shape=(64, 64, 3), dtype=np.uint8, tile=(64, 64), photometric="rgb", compression="zlib"
        )
    return path


def _small_peak(given: Path, returned: Any) -> None:
    assert returned < 100 << 20


def _picture_bomb() -> Path:
    outs = visium_folder()
    (outs / "spatial" / "tissue_hires_image.png").write_bytes(_png_bomb().read_bytes())
    return outs


def _decoded_or_refused(path: Path) -> None:
    try:
        whole(path)
    except ImageError:
        return


SIZES = [
    Row("I10", "a slide of 16,384 x 16,384 pixels, 805 MB", _huge,
        {"tl.encode_image": _peak(encode), "pp.tissue_mask": _peak(lambda adata: hs.pp.tissue_mask(adata, max_size=800)),
         "pl.spatial": closed(_peak(lambda adata: hs.pl.spatial(adata)))},
        Defined("read by tiles: less than 200 MB at any time", _bounded)),
    *(
        Row("I11", given, build, PATHS, Raises(ImageError, field=r"bomb\.", fix="vips tiffsave", found="3600|pixel"))
        for given, build in (
            ("a PNG of a few bytes that says 3,600 megapixels", _png_bomb),
            ("a JPEG that says 3,600 megapixels", _jpeg_bomb),
        )
    ),
    Row("I11", "a Visium folder whose picture is a bomb", _picture_bomb,
        {"io.read_visium": lambda outs: hs.io.read_visium(outs),
         "io.read_visium image=": lambda outs: hs.io.read_visium(outs, image=saved(painted()))},
        Raises(ImageError, field=r"tissue_hires_image\.png", fix="vips tiffsave", found="pixel")),
    Row("I11", "a TIFF tile that unpacks to 400 MB", _tile_bomb, {"io.open_image": _peak(_decoded_or_refused)},
        Defined("no more than the tile's own size is unpacked", _small_peak)),
    Row("I16", "a slide of 60,000 rows in one strip, without a pyramid", _strip_bomb, PATHS,
        Raises(ImageError, field=r"bomb\.tif", fix="vips tiffsave", found="3600 megapixels in one piece")),
]  # fmt: skip

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE, 8: Image.Transpose.ROTATE_270,
}  # fmt: skip


def _turned(orientation: int, name: str) -> Path:
    """Stored so that its EXIF orientation brings it back to what was painted."""
    path = folder() / name
    stored = Image.fromarray(painted()).transpose(_TURNS[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    options: dict[str, Any] = {"quality": 97, "subsampling": 0} if name.endswith("jpg") else {}
    stored.save(path, exif=exif, **options)
    return path


def _linked_to(path: Path) -> AnnData:
    adata, lines = messages(lambda: linked(path))
    assert "turned upright, by its EXIF orientation" in lines
    return adata


def _upright(given: Path, returned: AnnData) -> None:
    on_their_colours(returned, atol=8)


def _encoded(given: AnnData, returned: Any) -> None:
    np.testing.assert_allclose(given.obsm["X_image"], colours() / 255, atol=0.03)


def _in_visium(path: Path) -> Path:
    outs = visium_folder()
    path.rename(outs / "spatial" / "tissue_hires_image.png")
    return outs


def _picture_upright(given: Path, returned: AnnData) -> None:
    np.testing.assert_array_equal(next(iter(returned.uns["spatial"].values()))["images"]["hires"], painted())


TURNED = [
    *(
        Row("I23", f"a {name[-3:].upper()} with EXIF orientation {k}", partial(_turned, k, name),
            {"io.link_image": _linked_to}, Defined("turned upright once, and said in the log", _upright))
        for k, name in zip((2, 3, 4, 5, 6, 7, 8), ("image.jpg", "image.png") * 4, strict=False)
    ),
    Row("I23", "a JPEG with EXIF orientation 6", lambda: linked(_turned(6, "image.jpg")), {"tl.encode_image": encode},
        Defined("turned upright once", _encoded)),
    Row("I23", "a Visium picture with EXIF orientation 8", lambda: _in_visium(_turned(8, "image.png")),
        {"io.read_visium": lambda outs: hs.io.read_visium(outs),
         "io.read_visium image=": lambda outs: hs.io.read_visium(outs, image=saved(painted()))},
        Defined("turned upright once, in uns too", _picture_upright)),
    Row("I23", "a TIFF with an orientation tag", lambda: saved(painted(), "image.tif", extratags=[(274, "H", 1, 6, True)]), PATHS,
        Raises(ImageError, field=r"image\.tif", fix="vips autorot", found="TIFF orientation 6")),
]  # fmt: skip

ROWS = [*SIZES, *TURNED]
