"""Pixels of the spots of sections, for models that learn from them: each file is read once, in its own order."""

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import OptionError
from .._progress import progress
from .._sections import sections
from .._settings import settings
from ..nn.fusion._pixel_rows import Pixels
from ._image_checks import boxes_of, check_image, check_places, check_scale, on_image

_IN_MEMORY = 1 << 31  # bytes of tiles; more of them lie in a file while they are needed
_SAME = 0.01  # share by which the sides of the tiles of a section may differ

Boxes = NDArray[np.float64]


@contextmanager
def pixels_of(
    adatas: Sequence[AnnData], encoder: Any, *, tiles_key: str, library_key: str
) -> Iterator[tuple[Pixels, NDArray[np.bool_]]]:
    """Read the tiles of all spots, and the surroundings that regions are cut from.

    Parameters
    ----------
    adatas
        Sections, with tiles.
    encoder
        What reads them: its ``size`` and ``mpp`` count.
    tiles_key
        Slot with the tiles.
    library_key
        Column of ``obs`` that says the section.

    Yields
    ------
    The pixels, and which spots have any: (n,), over all AnnData.

    Raises
    ------
    ImageError
        No image, or not the one that was linked, or most tiles lie outside it.
    OptionError
        Tiles of one section differ in size.
    """
    boxes = [boxes_of(one, tiles_key) for one in adatas]
    with _room(sum(map(len, boxes)), encoder.size) as patches:
        yield _read(adatas, boxes, patches, encoder, library_key)


@contextmanager
def _room(n: int, size: int) -> Iterator[NDArray[np.uint8]]:
    """Make room for tiles: in memory, or in a file that is gone afterwards."""
    shape = (n, size, size, 3)
    if n * size * size * 3 <= _IN_MEMORY:
        yield np.full(shape, 255, dtype=np.uint8)
        return
    settings.cache_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.cache_dir, prefix="pixels-") as folder:
        yield np.memmap(Path(folder) / "tiles", dtype=np.uint8, mode="w+", shape=shape)


def _read(
    adatas: Sequence[AnnData], boxes: list[Boxes], patches: NDArray[np.uint8], encoder: Any, library_key: str
) -> tuple[Pixels, NDArray[np.bool_]]:
    from ..io import open_image

    n = len(patches)
    ok, section, corner = np.zeros(n, dtype=bool), np.zeros(n, dtype=np.int64), np.zeros((n, 2))
    overviews: list[NDArray[np.uint8]] = []
    digest, first, number = hashlib.sha256(str(encoder.size).encode()), 0, count()
    for one, box in zip(adatas, boxes, strict=True):
        for name, rows in sections(one, library_key).items():
            rows = rows[np.isfinite(box[rows]).all(axis=1)]
            if not len(rows):
                continue
            check_places(one, name, rows, box[rows])
            check_scale(one, name, [box[rows]], encoder)
            with open_image(one, library_id=name) as image:
                check_image(one, name, image, encoder)
                rows = rows[on_image(box[rows], image, name)]
                overview, corner[first + rows] = _read_section(image, box[rows], patches, first + rows, encoder, name)
                digest.update(f"{image.sha256} {image.scale}".encode())
            overviews.append(overview)
            ok[first + rows], section[first + rows] = True, next(number)
        digest.update(box.tobytes())
        first += len(box)
    return Pixels(patches, overviews, section, corner, digest.hexdigest()), ok


def _read_section(
    image: Any, boxes: Boxes, patches: NDArray[np.uint8], rows: NDArray[np.intp], encoder: Any, name: str
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Fill in the tiles of a section; return its overview, and where on it each tile begins.

    The overview is put together of blocks as large as a region, so that one pass over the file gives both.
    """
    side, size = _side(boxes, name), encoder.size
    block = 3 * side  # pixels of the image that become ``size`` pixels of the overview
    origin = boxes[:, :2].min(axis=0) - 2 * side
    corner = (boxes[:, :2] - origin) * size / block
    across, down = (np.ceil((boxes[:, :2].max(axis=0) + 3 * side - origin) / block)).astype(int) + 1
    needed = _blocks_under(corner, size, down, across)
    places = np.stack(np.nonzero(needed)[::-1], axis=1)  # x and y of each block
    wanted = np.hstack([origin + places * block, np.full((len(places), 2), block)])
    overview = np.full((down * size, across * size, 3), 255, dtype=np.uint8)
    with progress(desc=f"reading {name}", total=len(boxes) + len(wanted), unit="tile") as bar:
        for index, batch in image.read_tiles(np.vstack([boxes, wanted]), size):
            for i, tile in zip(index, batch, strict=True):
                if i < len(boxes):
                    patches[rows[i]] = tile
                else:
                    x, y = places[i - len(boxes)] * size
                    overview[y : y + size, x : x + size] = tile
            bar.update(len(index))
    return overview, corner


def _side(boxes: Boxes, name: str) -> float:
    sides = boxes[:, 2:]
    side = float(np.median(sides))
    if np.abs(sides / side - 1).max() > _SAME:
        found = f"sides from {sides.min():.4g} to {sides.max():.4g} pixels"
        fix = "Run hs.pp.tile(adata): a region is three tiles by three."
        raise OptionError(f"tiles of section {name!r}", found=found, expected="squares of one size", fix=fix)
    return side


def _blocks_under(corner: NDArray[np.float64], size: int, down: int, across: int) -> NDArray[np.bool_]:
    """Blocks (down, across) of the overview that some placement of a region touches: five tiles by five."""
    needed = np.zeros((down, across), dtype=bool)
    low = np.floor((corner - 2 / 3 * size - 1) / size).astype(int).clip(0)
    high = np.floor((corner + size + 1) / size).astype(int)
    for (x0, y0), (x1, y1) in zip(low, high, strict=True):
        needed[y0 : y1 + 1, x0 : x1 + 1] = True
    return needed
