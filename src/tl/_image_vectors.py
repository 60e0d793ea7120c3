"""Vectors of the boxes of one section: from the cache where they are there, else from its image."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._progress import progress
from ._collect import Collector
from ._dense import DenseTiles, Lattice
from ._encode_batches import Indexed, encode_batches, prefetch, rebatch
from ._feature_cache import FeatureCache
from ._tile_stain import depends_on, recolouring

if TYPE_CHECKING:
    from ..io import SlideImage

Boxes = NDArray[np.float64]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Work:
    """How all sections are encoded.

    Parameters
    ----------
    encoder
        The encoder.
    dense
        Whether boxes get the mean of the patch tokens that they cover.
    batch_size, num_workers
        Tiles that the encoder gets at a time, and threads that give them to it.
    stain
        Stain that all sections are mapped to, if any.
    cache
        Where vectors are kept, if anywhere.
    """

    encoder: Any
    dense: bool
    batch_size: int
    num_workers: int
    stain: Any
    cache: FeatureCache | None

    def lattice(self, mpp: float) -> Lattice:
        """Lay encoder tiles and their tokens over a section of this scale."""
        pixel = self.encoder.mpp / mpp
        return Lattice(self.encoder.size * pixel, self.encoder.patch * pixel, self.encoder.size // self.encoder.patch)


class WholeTiles:
    """Each box is a tile of its own, and its vector the encoder's."""

    def __init__(self, boxes: Boxes) -> None:
        self.boxes = boxes

    def spread(self, tiles: Rows, vectors: NDArray[np.float32]) -> tuple[Rows, NDArray[np.float32], Rows]:
        """Boxes that some tiles belong to, their vectors, and the boxes that are complete."""
        return tiles, vectors, tiles


@dataclass(frozen=True)
class Section:
    """What is asked of one section.

    Parameters
    ----------
    name
        Its name.
    image
        Its image, opened.
    boxes
        Boxes of each slot, x, y, w, h.
    rows
        Row of the result that each belongs to.
    lattice
        Encoder tiles that share pixels among boxes; None where each box is a tile.
    adata
        What it belongs to.
    """

    name: str
    image: "SlideImage"
    boxes: list[Boxes]
    rows: list[Rows]
    lattice: Lattice | None
    adata: AnnData


def fill(out: Collector, section: Section, work: Work) -> None:
    """Bring the vectors of all boxes of a section into ``out``."""
    finest = np.min([boxes[:, 2:].min(axis=0) for boxes in section.boxes if len(boxes)], axis=0)
    left = [
        _restored(out, section, work, boxes, rows, finest)
        for boxes, rows in zip(section.boxes, section.rows, strict=True)
        if len(boxes)
    ]
    boxes, rows = np.concatenate([box for box, _ in left]), np.concatenate([row for _, row in left])
    if not len(boxes):
        return
    plan = WholeTiles(boxes) if section.lattice is None else DenseTiles(section.lattice, boxes)
    tiles = _read(section, plan.boxes, work, finest if section.lattice is None else None)
    encode = work.encoder.dense if work.dense else work.encoder
    desc = f"encoding {section.name} with {work.encoder.name}"
    with progress(desc=desc, total=len(plan.boxes), unit="tile") as bar, closing(prefetch(tiles)) as ahead:
        try:
            for index, part in encode_batches(ahead, encode, work.num_workers):
                touched, vectors, done = plan.spread(index, part)
                out.add(rows[touched], vectors)
                out.finish(rows[done])
                bar.update(len(index))
        finally:
            out.keep()


def _restored(
    out: Collector, section: Section, work: Work, boxes: Boxes, rows: Rows, finest: NDArray[np.float64]
) -> tuple[Boxes, Rows]:
    """Take what the cache has; return the boxes and rows of the rest, in the order in which a sweep ends them."""
    lattice = section.lattice
    order = _order(boxes) if lattice is None else lattice.order(boxes)
    boxes, rows = boxes[order], rows[order]
    if work.cache is None:
        return boxes, rows
    described = {
        "image": section.image.sha256,
        "size": [section.image.width, section.image.height, section.image.n_channels],
        "scale": section.image.scale,
        "tiles": finest.tolist() if lattice is None else [lattice.side, lattice.pitch, lattice.n],
        "encoder": [work.encoder.name, work.encoder.size, work.encoder.sha256],
        "pooling": "dense" if work.dense else "",
        "stain": depends_on(section.image, work.stain),
    }
    missing = out.restore(work.cache.store(len(boxes), described, boxes), rows)
    return boxes[missing], rows[missing]


def _order(boxes: Boxes) -> Rows:
    x, y, w, h = boxes.T
    return np.lexsort((w, h, x, y + h))


def _read(section: Section, boxes: Boxes, work: Work, finest: NDArray[np.float64] | None) -> Iterator[Indexed]:
    """Tiles of the encoder's size in batches of one size, in the order of the file."""
    read = read_as_fine(section.image, boxes, work.encoder.size, finest)
    if work.stain is None:
        return rebatch(read, work.batch_size)
    recolour = recolouring(section.adata, section.name, work.stain)
    return rebatch(((index, recolour(batch)) for index, batch in read), work.batch_size)


def read_as_fine(image: "SlideImage", boxes: Boxes, size: int, finest: NDArray[np.float64] | None) -> Iterator[Indexed]:
    """Read boxes from the level of the pyramid that the finest box needs, though that one may be cached already.

    Else an interrupted run would go on with other pixels than it began with.
    """
    if finest is None or (boxes[:, 2:].min(axis=0) <= finest).all():
        yield from image.read_tiles(boxes, size)
        return
    for index, batch in image.read_tiles(np.vstack([boxes, [*boxes[0, :2], *finest]]), size):
        own = index < len(boxes)
        yield index[own], batch[own]
