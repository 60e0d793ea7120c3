"""Large arrays as OME-TIFF files, written tile by tile."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tifffile import TiffWriter

_TILE = 512
_SLAB = 8 * _TILE  # rows and columns computed at once: lazy arrays have large chunks


def _blocks(pixels: Any) -> Iterator[NDArray[Any]]:
    """Bands of the image, a slab high, each computed once."""
    for top in range(0, pixels.shape[0], _SLAB):
        yield np.ascontiguousarray(pixels[top : top + _SLAB])


def _tiles(pixels: Any) -> Iterator[NDArray[Any]]:
    for band in _blocks(pixels):
        for top in range(0, band.shape[0], _TILE):
            for left in range(0, band.shape[1], _TILE):
                tile = band[top : top + _TILE, left : left + _TILE]
                short = [(0, _TILE - tile.shape[0]), (0, _TILE - tile.shape[1])]
                yield np.pad(tile, short + [(0, 0)] * (tile.ndim - 2))


def content_hash(pixels: Any) -> str:
    """SHA-256 of shape, type and values."""
    digest = hashlib.sha256(f"{tuple(pixels.shape)} {pixels.dtype}".encode())
    for band in _blocks(pixels):
        digest.update(band.tobytes())
    return digest.hexdigest()


def write_ome_tiff(path: Path, pixels: Any, *, mpp: float | None) -> None:
    """Write an image (rows, columns[, channels]) that need not fit into memory.

    Parameters
    ----------
    path
        Target.
    pixels
        Array, or anything that slices like one.
    mpp
        Micrometres per pixel, written into the OME header.
    """
    rgb = pixels.ndim == 3 and pixels.shape[2] in (3, 4)
    size = {"PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    with TiffWriter(path, ome=True, bigtiff=True) as file:
        file.write(
            _tiles(pixels),
            shape=pixels.shape,
            dtype=pixels.dtype,
            tile=(_TILE, _TILE),
            photometric="rgb" if rgb else "minisblack",
            planarconfig="contig" if pixels.ndim == 3 else None,
            compression="zlib",
            metadata={"axes": "YXS"[: pixels.ndim]} | (size if mpp else {}),
        )
