"""Slide images: one reader for files, arrays, SpatialData images and the image that an AnnData is linked to."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray

from ..._errors import ImageError, OptionError
from ..._types import check_types
from ..._units import check_mpp
from ._locate import locate_image
from ._open import missing_mpp, open_source, stated_mpp
from ._patches import batches, region
from ._source import Source


class SlideImage:
    """An image of a tissue section, read by region; made by :func:`open_image`.

    Positions and sizes are in the frame of ``obsm["spatial"]``: full-resolution pixels, x right, y down; pixel ``i``
    covers ``[i, i + 1)``. What lies outside the image is background: white in 8-bit images of 1 or 3 channels, else 0.

    Attributes
    ----------
    width, height
        Size in the frame.
    n_channels, dtype
        Of the pixels; transparency is composited over white, palettes are looked up.
    source
        Path, or ``"array"``.
    """

    def __init__(self, source: Source, *, mpp: float | None, scale: float = 1.0) -> None:
        self._source, self._mpp, self._scale = source, mpp, scale
        self.width = max(1, round(source.levels[0].width / scale))
        self.height = max(1, round(source.levels[0].height / scale))
        self.n_channels, self.dtype, self.source = source.n_channels, source.dtype, source.name
        self._close = weakref.finalize(self, source.close)

    def __repr__(self) -> str:
        scale = f"{self._mpp:.4g} um/px" if self._mpp is not None else "um/px unknown"
        return f"SlideImage({self.source!r}, {self.width} x {self.height}, {self.n_channels} {self.dtype}, {scale})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file and forget what was decoded; nothing can be read afterwards."""
        self._close()

    @property
    def has_mpp(self) -> bool:
        """Whether micrometres per pixel are known."""
        return self._mpp is not None

    @property
    def mpp(self) -> float:
        """Micrometres per pixel of the frame.

        Raises
        ------
        ScaleError
            Neither the caller nor the metadata said it.
        """
        if self._mpp is None:
            raise missing_mpp(self._source)
        return self._mpp

    @property
    def native_mpp(self) -> float:
        """Um per pixel of the finest pixels that the image holds; coarser than ``mpp`` where a small one is linked."""
        return self.mpp / self._scale

    @property
    def scale(self) -> float:
        """Pixels of the image for each pixel of the frame: ``image_scale`` of an AnnData, else 1."""
        return self._scale

    @cached_property
    def sha256(self) -> str:
        """Hash of the file, or of an array's bytes."""
        self._check_open()
        return self._source.sha256()

    def read(self, x: float, y: float, w: float, h: float, *, mpp: float | None = None) -> NDArray:
        """Read one region.

        Parameters
        ----------
        x, y
            Its upper left corner.
        w, h
            Its size; the region is stretched by less than half a pixel to fill a whole number of output pixels.
        mpp
            Micrometres per output pixel; that of the frame if None.

        Returns
        -------
        Pixels (rows, columns, channels).
        """
        box = _corners([[x, y, w, h]])[0] * self._scale
        step = 1.0 if mpp is None else check_mpp(mpp, source="the argument mpp") / self.mpp
        size = np.maximum(1, np.rint(np.array([w, h]) / step)).astype(np.int64)
        self._check_open()
        return region(self._source, box, size)

    def thumbnail(self, max_size: int = 1500) -> tuple[NDArray, float]:
        """Read the whole image, at most ``max_size`` pixels long and never enlarged.

        Returns
        -------
        Pixels (rows, columns, channels), and their number per pixel of the frame.
        """
        if max_size < 1:
            raise OptionError("max_size", found=max_size, expected="at least 1", fix="Leave it out for 1500.")
        full = self._source.levels[0]
        factor = min(1.0, max_size / max(full.width, full.height))
        # Whole output pixels only: what a last, partial one would show is left out. The sum absorbs rounding.
        size = np.maximum(1, np.floor(np.array([full.width, full.height]) * factor + 1e-6)).astype(np.int64)
        self._check_open()
        return region(self._source, np.array([0, 0, *(size / factor)]), size), factor * self._scale

    def read_tiles(self, boxes: ArrayLike, size: int) -> Iterator[tuple[NDArray[np.intp], NDArray]]:
        """Read many regions in one pass over the file, each of its tiles decoded once.

        Parameters
        ----------
        boxes
            x, y, w, h (n, 4) in the frame, fractions allowed; may overlap and reach over the border.
        size
            Pixels along the side of each output.

        Yields
        ------
        Rows of ``boxes`` (k,), and their pixels (k, size, size, channels). Every row comes once, in the order in which
        the file holds them.
        """
        corners = _corners(boxes) * self._scale
        if size < 1:
            raise OptionError("size", found=size, expected="at least 1", fix="Pass pixels, such as 224.")
        self._check_open()
        return batches(self._source, corners, size)

    def _check_open(self) -> None:
        if not self._close.alive:
            fix = "Read inside the with block, or open it again."
            raise ImageError(self.source, found="an image that was closed", expected="an open one", fix=fix)


def _corners(boxes: ArrayLike) -> NDArray[np.float64]:
    """Left, top, right and bottom of boxes x, y, w, h, checked."""
    checked = np.asarray(boxes, dtype=np.float64)
    if checked.ndim != 2 or checked.shape[1] != 4:
        raise OptionError("boxes", found=f"shape {checked.shape}", expected="(n, 4): x, y, w, h", fix="Run hs.pp.tile.")
    bad = np.flatnonzero(~(np.isfinite(checked).all(axis=1) & (checked[:, 2:] > 0).all(axis=1)))
    if len(bad):
        found = f"{len(bad)} not finite or without size, such as row {bad[0]}: {checked[bad[0]].tolist()}"
        raise OptionError("boxes", found=found, expected="finite x, y and positive w, h", fix="Leave these rows out.")
    return np.hstack([checked[:, :2], checked[:, :2] + checked[:, 2:]])


def open_image(
    source: AnnData | str | Path | ArrayLike, *, mpp: float | None = None, library_id: str | None = None
) -> SlideImage:
    """Open a slide image for reading by region.

    Parameters
    ----------
    source
        A path (TIFF, OME-TIFF, SVS, NDPI, JPEG, PNG); an array (rows, columns) or (rows, columns, channels), four
        channels of uint8 being RGB and alpha; an image of a SpatialData; or an AnnData, whose linked image is opened,
        or, with a warning, its ``images["hires"]``.
    mpp
        Micrometres per pixel: per full-resolution pixel for an AnnData, else per pixel of the image. If None it is
        taken from the AnnData, the OME-XML, Aperio's header or the TIFF resolution tags, in this order, where plausible.
    library_id
        Section of the AnnData; needed if it has several.

    Returns
    -------
    The image, opened; a context manager that closes it.

    Raises
    ------
    FileError
        There is no file at the path.
    ImageError
        The file is broken, of an unknown kind, or too large to be decoded in one piece.
    MissingError
        The AnnData has several sections, and ``library_id`` does not say which.
    ScaleError
        Micrometres per pixel are given and implausible, or differ between x and y.

    Examples
    --------
    >>> import numpy as np
    >>> import histoscribe as hs
    >>> with hs.io.open_image(np.zeros((300, 400, 3), dtype=np.uint8), mpp=0.5) as image:
    ...     image.read(380, 0, 40, 20).shape, image.thumbnail(200)[1]
    ((20, 40, 3), 0.5)
    """
    check_types(open_image, locals())
    if mpp is not None:
        mpp = check_mpp(mpp, source="the argument mpp")
    scale = 1.0
    opened: Any = source
    if isinstance(source, AnnData):
        linked = locate_image(source, library_id)
        opened, scale = linked.image, linked.scale
        mpp = linked.mpp if mpp is None else mpp
    found = open_source(opened)
    if isinstance(source, AnnData):
        found = replace(found, looked=f"uns['spatial'] names none; {found.looked}")
    try:
        stated = stated_mpp(found) if mpp is None else None
    except BaseException:
        found.close()
        raise
    return SlideImage(found, mpp=mpp if stated is None else stated * scale, scale=scale)
