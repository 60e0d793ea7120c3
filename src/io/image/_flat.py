"""JPEG and PNG files: decoded as a whole with Pillow, a JPEG at the coarsest DCT scale that will do."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from ..._errors import ImageError
from ..._files import sha256
from ._broken import decoding, too_large
from ._pixels import over_white
from ._source import Level, Source, grid

log = logging.getLogger("histoscribe")

_ROWS = 512  # converted at a time
_DCT_FACTORS = (1, 2, 4, 8)
_ORIENTATION = 0x0112
_SIDEWAYS = (5, 6, 7, 8)
_N_CHANNELS = {"L": 1, "LA": 1, "RGB": 3, "RGBA": 3, "I": 1, "I;16": 1, "F": 1}
_ALPHA = {"L": "LA", "RGB": "RGBA", "P": "RGBA"}  # for PNGs that name one colour transparent
_CONVERTED = {"1": "L", "P": "RGB", "PA": "RGBA", "YCbCr": "RGB"}


@contextmanager
def _of_any_size() -> Iterator[None]:
    """Pillow warns of 90 megapixels, which a section easily has; it refuses twice as many, and so do we."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class FlatFile:
    """A JPEG or PNG file; keeps what it decoded last, so that many small reads decode once."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        with self._open() as image:
            self.mode = self._mode(image)
            orientation = image.getexif().get(_ORIENTATION, 1)
            if orientation != 1:
                log.info("%s is turned upright, by its EXIF orientation %d", path, orientation)
            self.size = image.size[::-1] if orientation in _SIDEWAYS else image.size
            # A turned image begins at its other end, where a reduced one may have half a pixel too much.
            self.factors = [
                factor
                for factor in (_DCT_FACTORS if image.format in ("JPEG", "MPO") else (1,))
                if orientation == 1 or not (image.width % factor or image.height % factor)
            ]
        self._held: tuple[int, Image.Image] | None = None

    @contextmanager
    def _open(self) -> Iterator[ImageFile.ImageFile]:
        with decoding(self.name, "an image"), _of_any_size():
            try:
                image = Image.open(self.name, formats=("JPEG", "PNG"))
            except Image.DecompressionBombError as error:
                raise too_large(self.name, str(error)) from error
            with image:
                yield image

    def _mode(self, image: ImageFile.ImageFile) -> str:
        mode = _CONVERTED.get(image.mode, image.mode)
        if "transparency" in image.info:
            mode = _ALPHA.get(image.mode, mode)
        deep = image.mode not in ("I", "I;16") and "16" in str(image.tile[0].args)
        if mode not in _N_CHANNELS or deep:
            found = "16-bit colour, which Pillow would cut to 8" if deep else f"the colour model {image.mode}"
            fix = "Convert it to an RGB TIFF, or pass an array."
            raise ImageError(self.name, found=found, expected="RGB, grey or palette", fix=fix)
        return mode

    def decoded(self, factor: int) -> Image.Image:
        """Image reduced by ``factor``, upright."""
        if self._held is None or self._held[0] != factor:
            self._held = None  # two at a time may not fit
            with self._open() as image:
                if factor > 1:
                    image.draft(image.mode, (image.width // factor, image.height // factor))
                ImageOps.exif_transpose(image, in_place=True)
                image.load()
                self._held = factor, image if image.mode == self.mode else image.convert(self.mode)
        return self._held[1]

    def close(self) -> None:
        """Forget what was decoded."""
        self._held = None


class FlatLevel(Level):
    """A flat file at one DCT scale; its cells are bands of rows of the one decoded image."""

    def __init__(self, file: FlatFile, factor: int) -> None:
        width, height = (-(-length // factor) for length in file.size)
        super().__init__((1 / factor, 1 / factor), grid(width, width), grid(height, _ROWS))
        self._file, self._factor = file, factor

    def decode(self, cells: NDArray[np.intp]) -> Iterator[tuple[int, NDArray]]:
        """Yield each band of ``cells`` with its pixels, from the top down."""
        if not len(cells):
            return
        image = self._file.decoded(self._factor)
        for cell in cells.tolist():
            with _of_any_size():  # Pillow 12 looks at a crop, too
                pixels = np.asarray(image.crop(self.corners(cell)))
            pixels = pixels[..., None] if pixels.ndim == 2 else pixels
            yield cell, over_white(pixels) if self._file.mode in ("LA", "RGBA") else pixels


def open_flat(path: Path) -> Source:
    """Open a JPEG or PNG file."""
    file = FlatFile(path)
    dtype = {"I": np.int32, "I;16": np.uint16, "F": np.float32}.get(file.mode, np.uint8)
    return Source(
        file.name,
        [FlatLevel(file, factor) for factor in file.factors],
        _N_CHANNELS[file.mode],
        np.dtype(dtype),
        sha256=lambda: sha256(path),
        close=file.close,
    )
