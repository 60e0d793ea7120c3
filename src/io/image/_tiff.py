"""TIFF, OME-TIFF, SVS and NDPI pyramids, decoded segment by segment with tifffile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from ..._errors import ImageError
from ..._files import sha256
from ._broken import broken, check_size, decoding, known_codec
from ._pixel_size import LOOKED, pixel_sizes
from ._pixels import background
from ._source import Level, Source, grid
from ._tiff_colour import Colour, colour_of

_BYTES_AT_ONCE = 1 << 24  # decoded: what is held between the file and the patches
_CHANNEL_AXES = "SCQI"  # I and Q are pages of a kind that the file does not name
_END_MARKED = (7, 33003, 33005, 33007, 34712, 34892)  # JPEG and JPEG2000: segments end in the marker FFD9
_UNNAMED = ("generic", "shaped", "uniform")
_ORIENTATION = 274


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
    colour
        Colour model of the pages.
    """

    def __init__(self, name: str, pages: list[Any], scale: tuple[float, float], colour: Colour) -> None:
        key = pages[0].keyframe
        columns, rows = (key.tilewidth, key.tilelength) if key.is_tiled else (key.imagewidth, key.rowsperstrip)
        rows = min(rows, key.imagelength) if not key.is_tiled else rows
        super().__init__(scale, grid(key.imagewidth, columns), grid(key.imagelength, rows))
        self._name, self._colour = name, colour
        n_cells = (len(self.x_edges) - 1) * (len(self.y_edges) - 1)
        # The channels of a cell lie in one segment, or in one of each page and plane.
        self._parts = [(page, plane * n_cells) for page in pages for plane in range(key.shaped[0])]
        nbytes = columns * rows * key.shaped[-1] * key.dtype.itemsize * len(self._parts)
        self._at_once = max(1, _BYTES_AT_ONCE // nbytes)

    def check_whole(self, n_bytes: int) -> None:
        """Refuse a file of so many bytes that ends before the last segment: a copy that was broken off."""
        n_cells = (len(self.x_edges) - 1) * (len(self.y_edges) - 1)
        for page, first in self._parts:
            with decoding(self._name, "a table of segments"):
                tables = (page.dataoffsets, page.databytecounts)
                offset, count = (np.array(one[first : first + n_cells], dtype=np.uint64) for one in tables)
            if len(cut := np.flatnonzero((count > 0) & (offset + count > n_bytes))):
                found = f"a file that ends before {len(cut)} of its {n_cells} segments, first {self._where(cut[0])}"
                raise broken(self._name, found)

    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        """Yield each of ``cells`` with its pixels, once, by position in the file."""
        page, first = self._parts[0]
        with decoding(self._name, "a table of segments"):
            position = np.asarray([page.dataoffsets[first + cell] for cell in cells.tolist()])
        cells = cells[np.argsort(position, kind="stable")]
        for start in range(0, len(cells), self._at_once):
            some = cells[start : start + self._at_once].tolist()
            parts = [self._read(page, first, some) for page, first in self._parts]
            for cell in some:
                yield cell, self._pixels(cell, [part.pop(cell) for part in parts])

    def _pixels(self, cell: int, samples: list[NDArray | None]) -> NDArray:
        present = [part for part in samples if part is not None]
        if not present:  # sparse files leave empty segments out
            left, top, right, bottom = self.corners(cell)
            colour = self._colour
            empty = background(colour.dtype, colour.n_channels)
            return np.full((bottom - top, right - left, colour.n_channels), empty, dtype=colour.dtype)
        if len(present) < len(samples):
            raise broken(self._name, f"{len(present)} of {len(samples)} channels {self._where(cell)}")
        return self._colour.convert(present[0] if len(present) == 1 else np.concatenate(present, axis=-1))

    def _read(self, page: Any, first: int, cells: list[int]) -> dict[int, NDArray | None]:
        """Read the segments of ``cells`` from the file in one go, and decode them."""
        with decoding(self._name, "segments"):
            index = [first + cell for cell in cells]
            offsets, counts = ([table[i] for i in index] for table in (page.dataoffsets, page.databytecounts))
            read = list(page.parent.filehandle.read_segments(offsets, counts, cells, sort=True))
        return {cell: self._decoded(page, first, cell, data) for data, cell in read}

    def _decoded(self, page: Any, first: int, cell: int, data: bytes | None) -> NDArray | None:
        if data is None:
            return None
        key, stated = page.keyframe, page.databytecounts[first + cell]
        if len(data) < stated:
            raise broken(self._name, f"{len(data)} of {stated} bytes {self._where(cell)}")
        # Decoders fill what is missing with grey and say nothing. NDPI's segments are cut out of one stream.
        if key.compression in _END_MARKED and key.jpegheader is None and not _has_end(data):
            raise broken(self._name, f"no end of the data {self._where(cell)}")
        left, top, right, bottom = self.corners(cell)
        with decoding(self._name, f"data {self._where(cell)}"):
            samples = key.decode(data, first + cell, jpegtables=page.jpegtables, jpegheader=key.jpegheader)[0]
            return samples[0, : bottom - top, : right - left]

    def _where(self, cell: int) -> str:
        left, top, right, bottom = self.corners(cell)
        return f"in columns {left} to {right}, rows {top} to {bottom}"


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
    number, series = max(enumerate(tif.series), key=lambda item: np.prod(_size(item[1].keyframe)))
    key = series.keyframe
    _check(name, series)
    colour = colour_of(name, key, len(series.pages))
    levels = [
        TiffLevel(name, list(level.pages), _scale(_size(key), _size(level.keyframe)), colour)
        for level in _levels(tif, series)
    ]
    for level in levels:
        level.check_whole(tif.filehandle.size)
    return Source(
        name,
        levels,
        colour.n_channels,
        colour.dtype,
        sha256=lambda: sha256(name),
        close=tif.close,
        pixel_sizes=pixel_sizes(tif, number, key),
        looked=LOOKED,
    )


def _size(page: Any) -> tuple[int, int]:
    return page.imagewidth, page.imagelength


def _scale(full: tuple[int, int], reduced: tuple[int, int]) -> tuple[float, float]:
    """Pixels of a level per pixel of the finest, in x and y.

    Scanners reduce by a whole factor and drop or double the odd last pixel; image libraries stretch to the size that
    results. Files don't say which, and at the far border the two are up to a pixel apart: the mean is half that from
    either. Where no whole factor gives the size, the level was stretched.
    """

    def along(whole: int, part: int) -> float:
        factor = round(whole / part)
        return (1 / factor + part / whole) / 2 if abs(whole / factor - part) < 1 else part / whole

    return along(full[0], reduced[0]), along(full[1], reduced[1])


def _levels(tif: tifffile.TiffFile, series: Any) -> list[Any]:
    """All resolutions of an image, the finest first."""
    # Where no vendor's format lists them, tifffile takes only those that are 2, 3 or 4 times smaller than the last.
    others = [
        other
        for other in tif.series
        if other is not series and other.kind in _UNNAMED and (other.keyframe.is_reduced or other.keyframe.is_subifd)
    ]
    listed = [level for one in (series, *others) for level in one.levels]
    return [series, *(level for level in listed if level is not series and _is_reduced(level, series))]


def _is_reduced(level: Any, series: Any) -> bool:
    """Whether a level shows the same image: not a label or a macro picture, no page missing."""
    key, full = level.keyframe, series.keyframe
    (width, height), (columns, rows) = _size(full), _size(key)
    alike = all(getattr(key, name) == getattr(full, name) for name in ("dtype", "photometric", "extrasamples"))
    same = len(level.pages) == len(series.pages) and key.samplesperpixel == full.samplesperpixel and all(level.pages)
    return bool(alike and same and abs(width * rows - height * columns) <= max(width, height))


def _check(name: str, series: Any) -> None:
    key = series.keyframe
    if series.kind == "bif":
        fix = "Let OpenSlide stitch them: vips tiffsave IN.bif OUT.tif --tile --pyramid --compression jpeg."
        raise ImageError(name, found="a Ventana slide, whose tiles overlap", expected="tiles side by side", fix=fix)
    long = {axis for axis, length in zip(series.axes, series.shape, strict=True) if length > 1} - set("YX")
    if len(long) > 1 or not long <= set(_CHANNEL_AXES) or not all(series.pages):
        found = f"axes {series.axes} of {series.shape}"
        fix = "Pass one plane as an array (rows, columns, channels)."
        raise ImageError(name, found=found, expected="rows, columns and channels, all there", fix=fix)
    if key.dtype is None or key.dtype.kind not in "uifb":
        raise ImageError(name, found=f"samples of type {key.dtype}", expected="real numbers", fix="Convert it.")
    turned = int(key.tags.valueof(_ORIENTATION, default=1))
    if turned > 1:
        fix = "Rotate the pixels themselves, e.g.: vips autorot IN OUT.tif."
        raise ImageError(name, found=f"TIFF orientation {turned}", expected="1, the first row on top", fix=fix)
    with decoding(name, "pixels"):
        known_codec(lambda: tifffile.TIFF.DECOMPRESSORS[key.compression])
    segment = (
        key.tilewidth * key.tilelength if key.is_tiled else key.imagewidth * min(key.rowsperstrip, key.imagelength)
    )
    check_size(name, segment)
