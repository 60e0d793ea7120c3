"""TIFF, OME-TIFF, SVS and NDPI pyramids, decoded segment by segment with tifffile."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from .._errors import ImageError
from .._files import sha256
from ._broken import broken, decoding
from ._pixels import background, from_palette, from_ycbcr, inverted, over_white
from ._pixel_size import LOOKED, pixel_sizes
from ._source import Level, Source, grid

_BYTES_AT_ONCE = 1 << 24  # decoded; bounds what is held between the file and the patches
_CHANNEL_AXES = "SCQI"  # I and Q are pages of a kind that the file does not name
_TO_PYRAMID = "Convert it to a tiled pyramid, e.g.: vips tiffsave IN OUT.tif --tile --pyramid --compression jpeg."
_ENDS_IN_EOI = (7, 33003, 33005, 34712, 34892, 33007)  # JPEG and JPEG2000: segments end in the marker FFD9
_JPEG = (6, 7, 34892, 33007)  # converted to RGB by the decoder itself


class TiffLevel(Level):
    """One level of a pyramid.

    Parameters
    ----------
    name
        Path, for messages.
    pages
        One, or one a channel.
    scale
        Pixels of this level per pixel of the finest.
    convert
        From decoded samples to pixels.
    empty
        Value of segments that the file leaves out.
    """

    def __init__(
        self, name: str, pages: list[Any], scale: tuple[float, float], convert: Callable[[NDArray], NDArray], empty: int
    ) -> None:
        key = pages[0].keyframe
        step_y, step_x = (key.tilelength, key.tilewidth) if key.is_tiled else (key.rowsperstrip, key.imagewidth)
        super().__init__(scale, grid(key.imagewidth, step_x), grid(key.imagelength, min(step_y, key.imagelength)))
        self._name, self._convert, self._empty = name, convert, empty
        self._n_cells = (len(self.x_edges) - 1) * (len(self.y_edges) - 1)
        # A cell's channels lie in one segment, or in one of each page and plane.
        self._parts = [(page, plane * self._n_cells) for page in pages for plane in range(key.shaped[0])]
        nbytes = step_x * step_y * key.shaped[-1] * key.dtype.itemsize * len(self._parts)
        self._at_once = max(1, _BYTES_AT_ONCE // nbytes)

    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        """Yield each of ``cells`` with its pixels, by position in the file."""
        page, first = self._parts[0]
        with decoding(self._name, "a table of segments"):
            position = np.asarray([page.dataoffsets[first + cell] for cell in cells.tolist()])
        cells = cells[np.argsort(position, kind="stable")]
        for start in range(0, len(cells), self._at_once):
            some = cells[start : start + self._at_once].tolist()
            parts = [self._segments(page, first, some) for page, first in self._parts]
            for cell in some:
                samples = [part.pop(cell) for part in parts]
                yield cell, self._convert(samples[0] if len(samples) == 1 else np.concatenate(samples, axis=-1))

    def _segments(self, page: Any, first: int, cells: list[int]) -> dict[int, NDArray]:
        """Read the segments of ``cells`` from the file in one go, and decode them."""
        index = [first + cell for cell in cells]
        with decoding(self._name, "segments"):
            offsets, counts = ([table[i] for i in index] for table in (page.dataoffsets, page.databytecounts))
            read = page.parent.filehandle.read_segments(offsets, counts, index, sort=True)
            return {i - first: self._decoded(page, data, i, i - first) for data, i in read}

    def _decoded(self, page: Any, data: bytes | None, index: int, cell: int) -> NDArray:
        key = page.keyframe
        left, top, right, bottom = self.corners(cell)
        if data is None:  # sparse files leave empty tiles out
            return np.full((bottom - top, right - left, key.shaped[-1]), self._empty, dtype=key.dtype)
        what = f"the {'tile' if key.is_tiled else 'strip'} at column {left}, row {top}"
        if len(data) < page.databytecounts[index]:
            raise broken(self._name, f"{what} cut off after {len(data)} of {page.databytecounts[index]} bytes")
        # libjpeg fills what is missing with grey and says nothing. NDPI's segments are cut from one stream.
        if key.compression in _ENDS_IN_EOI and key.jpegheader is None and not _has_end(data):
            raise broken(self._name, f"{what} without its end")
        with decoding(self._name, what):
            pixels = key.decode(data, index, jpegtables=page.jpegtables, jpegheader=key.jpegheader)[0]
            return pixels[0, : bottom - top, : right - left]


def _has_end(data: bytes) -> bool:
    return data.rstrip(b"\0").endswith(b"\xff\xd9")


def open_tiff(path: Path) -> Source:
    """Open the largest image of a TIFF file, with all levels of its pyramid."""
    name = str(path)
    with decoding(name, "a TIFF header"):
        tif = tifffile.TiffFile(path)
    try:
        with decoding(name, "TIFF pages"):
            return _source(name, tif)
    except BaseException:
        tif.close()
        raise


def _source(name: str, tif: tifffile.TiffFile) -> Source:
    number, series = max(enumerate(tif.series), key=lambda item: item[1].keyframe.imagewidth * item[1].keyframe.imagelength)
    key = series.keyframe
    _check(name, series)
    convert, dtype, n_channels = _colour_model(name, key, len(series.pages))
    levels = []
    for level in series.levels:
        scale = (
            _level_scale(key.imagewidth, level.keyframe.imagewidth),
            _level_scale(key.imagelength, level.keyframe.imagelength),
        )
        same = (level.dtype, len(level.pages), level.keyframe.shaped[0], level.keyframe.shaped[-1]) == (
            series.dtype, len(series.pages), key.shaped[0], key.shaped[-1],
        )
        if same and abs(scale[0] / scale[1] - 1) < 0.05 and all(level.pages):  # else a label or a thumbnail
            empty = background(key.dtype, key.samplesperpixel)
            levels.append(TiffLevel(name, list(level.pages), scale, convert, empty))
    return Source(
        name,
        levels,
        n_channels,
        dtype,
        sha256=lambda: sha256(name),
        close=tif.close,
        pixel_sizes=pixel_sizes(tif, number, key),
        looked=LOOKED,
    )


def _level_scale(full: int, reduced: int) -> float:
    """Pixels of a level per pixel of the finest level, along one axis.

    Scanners reduce by whole factors and drop or double the odd last pixel, so the ratio of sizes would be up to one
    pixel off at the far border. Where the size is that of no whole factor, the level was stretched to it.
    """
    factor = round(full / reduced)
    return 1 / factor if abs(full / factor - reduced) < 1 else reduced / full


def _check(name: str, series: Any) -> None:
    key = series.keyframe
    long = {axis: n for axis, n in zip(series.axes, series.shape, strict=True) if n > 1 and axis not in "YX"}
    if set(long) - set(_CHANNEL_AXES) or len(long) > 1:
        fix = "Pass one plane of it as an array (rows, columns, channels)."
        raise ImageError(name, found=f"axes {series.axes} of {series.shape}", expected="rows, columns and channels", fix=fix)
    if key.dtype is None or key.dtype.kind not in "uifb":
        raise ImageError(name, found=f"samples of type {key.dtype}", expected="real numbers", fix="Convert it.")
    turned = int(key.tags.valueof(274, default=1))
    if turned not in (0, 1):
        fix = "Rotate the pixels themselves, e.g.: vips autorot IN OUT.tif."
        raise ImageError(name, found=f"TIFF orientation {turned}", expected="1, rows from the top", fix=fix)
    segment = key.imagewidth * key.rowsperstrip if not key.is_tiled else key.tilewidth * key.tilelength
    check_size(name, min(segment, key.imagewidth * key.imagelength))
