"""Patches and the regions around them, served to training: other placements and turns in each epoch."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from .._data import Batch, Batches

CELLS, TURNS = 9, 8
Asked: TypeAlias = tuple[Tensor, NDArray[np.int64], NDArray[np.int64]]
"""Rows, in which cell of its region each patch lies, and how both are turned."""


@dataclass(frozen=True)
class Pixels:
    """Pixels of sections, each read once.

    Parameters
    ----------
    patches
        Tile of each spot (n, size, size, 3).
    overviews
        Picture of each section (height, width, 3), at the scale of regions.
    section
        Which picture a spot lies on (n,).
    corner
        Where the tile of each spot begins on it (n, 2), x and y in its pixels.
    sha256
        Hash of images and tiles.
    """

    patches: NDArray[np.uint8]
    overviews: list[NDArray[np.uint8]]
    section: NDArray[np.int64]
    corner: NDArray[np.float64]
    sha256: str

    def region(self, row: int, cell: int) -> NDArray[np.uint8]:
        """Cut the region (size, size, 3) in whose cell, counted row by row, the tile of a spot lies."""
        size = self.patches.shape[1]
        down, right = divmod(cell, 3)
        x, y = np.rint(self.corner[row] - np.array([right, down]) * size / 3).astype(int)
        return self.overviews[self.section[row]][y : y + size, x : x + size]


class PixelRows(Dataset[Batch]):
    """Spots with their pixels; indexed by many rows at once.

    Parameters
    ----------
    pixels
        Pixels of all spots.
    tensors
        What else is known of the spots that are served, by name; ``row`` is their number among all.
    augment
        Whether patch and region are mirrored and turned at random in training.
    """

    def __init__(self, pixels: Pixels, tensors: Mapping[str, Tensor], *, augment: bool) -> None:
        self.pixels, self.tensors, self.augment = pixels, dict(tensors), augment

    def __len__(self) -> int:
        return len(self.tensors["row"])

    def __getitem__(self, asked: Asked) -> Batch:
        index, cells, turns = asked
        batch = {name: tensor[index] for name, tensor in self.tensors.items()}
        rows = batch["row"].tolist()
        patches = [turned(self.pixels.patches[row], turn) for row, turn in zip(rows, turns, strict=True)]
        regions = [
            turned(self.pixels.region(row, cell), turn) for row, cell, turn in zip(rows, cells, turns, strict=True)
        ]
        return {
            **batch,
            "patch": torch.from_numpy(np.stack(patches)),
            "region": torch.from_numpy(np.stack(regions)),
            "region_boxes": _region_boxes(batch["boxes"], cells),
            "cell": torch.from_numpy(TURNED[turns, cells]),
        }

    def batches(self, batch_size: int, seed: int, epoch: Callable[[], int] | None) -> "PixelBatches":
        """Rows of each batch, with placements and turns."""
        section = self.tensors["section"]
        return PixelBatches(len(self), batch_size, seed, epoch, section=section, augment=self.augment)

    def sha256(self) -> str:
        """Hash of the pixels and of all else that is known of the spots."""
        digest = hashlib.sha256(f"{self.pixels.sha256} {self.augment}".encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
        return digest.hexdigest()


class PixelBatches(Batches):
    """Rows of each batch, with a cell and a turn for each row: a function of the seed, the epoch and the row.

    Without an epoch (rows held out) nothing is turned, and the cells are the same every time.
    """

    def __init__(self, *args: Any, section: Tensor, augment: bool) -> None:
        super().__init__(*args, section=section)
        self.augment = augment

    def __iter__(self) -> Iterator[Asked]:  # type: ignore[override]
        epoch = -1 if self.epoch is None else self.epoch()
        rng = np.random.default_rng([self.seed, 1, 1 + epoch])
        cells, turns = rng.integers(CELLS, size=self.n_rows), rng.integers(TURNS, size=self.n_rows)
        if not self.augment or epoch < 0:
            turns[:] = 0
        for index in super().__iter__():
            yield index, cells[index.numpy()], turns[index.numpy()]


def turned(picture: NDArray[Any], turn: int) -> NDArray[Any]:
    """Turn a picture (h, w, ...) by as many quarters as the number says; from 4 on, mirrored before."""
    mirrored = picture[:, ::-1] if turn >= 4 else picture
    return np.rot90(mirrored, turn % 4)


def _where_cells_go() -> NDArray[np.int64]:
    """Cell in which each cell (of 9) lies after each turn (of 8)."""
    grid = np.arange(CELLS).reshape(3, 3)
    return np.stack([np.argsort(turned(grid, turn).ravel()) for turn in range(TURNS)])


TURNED = _where_cells_go()


def _region_boxes(boxes: Tensor, cells: NDArray[np.int64]) -> Tensor:
    """Boxes (n, 4) of the regions in whose cells the boxes of patches lie, in the same unit."""
    down, right = torch.from_numpy(cells // 3), torch.from_numpy(cells % 3)
    x, y, w, h = boxes.unbind(1)
    return torch.stack([x - right * w, y - down * h, 3 * w, 3 * h], dim=1)
