"""Training data: rows of tensors, and the order in which they come."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

Batch: TypeAlias = dict[str, Tensor]
"""Rows of spots. Fusion models know ``image`` (n, d), ``genes`` (n, d), ``image_valid`` and ``genes_valid`` (n,) bool,
``boxes`` (n, 4) x, y, w, h of the tile in um (NaN: unknown), and ``section`` (n,) int64."""


class Rows(Dataset[Batch]):
    """Tensors of equal length in memory; indexed by many rows at once, which a row-by-row loader would not be."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = dict(tensors)

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, index: Tensor) -> Batch:
        return {name: tensor[index] for name, tensor in self.tensors.items()}

    def batches(self, batch_size: int, seed: int, epoch: Callable[[], int] | None) -> "Batches":
        """Row indices of each batch; a dataset that batches in another way has a method of its own."""
        return Batches(len(self), batch_size, seed, epoch, section=self.tensors.get("section"))

    def sha256(self) -> str:
        """Hash of names, shapes and content."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
            digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
        return digest.hexdigest()


class Batches(Sampler[Tensor]):
    """Row indices of each batch; the order is a function of the seed and the epoch, and of nothing else.

    Batches differ by at most one row in size (two, where rows come in pairs), since a contrastive loss over a short last
    batch is another loss.

    Parameters
    ----------
    n_rows
        Length of the data.
    batch_size
        Most rows of a batch; all rows make one batch where there are fewer.
    seed
        First part of the seed.
    epoch
        Gives the second part when a pass over the data begins; None keeps the rows in order.
    section
        Section of each row. Where it is given, rows come in pairs of one section: among a thousand sections a row would
        hardly meet another one of its own, and what sets sections apart would do to tell all others from it.
    """

    def __init__(
        self,
        n_rows: int,
        batch_size: int,
        seed: int,
        epoch: Callable[[], int] | None,
        *,
        section: Tensor | None = None,
    ) -> None:
        self.n_rows, self.batch_size, self.seed, self.epoch = n_rows, batch_size, seed, epoch
        self.section = None if section is None else section.numpy()

    def __len__(self) -> int:
        return -(-self._n_own() // self.batch_size)

    def __iter__(self) -> Iterator[Tensor]:
        order = np.arange(self.n_rows)
        if self.epoch is not None:
            rng = np.random.default_rng([self.seed, self.epoch()])
            order = rng.permutation(self.n_rows) if self.section is None else in_pairs(self.section, rng)
        rank, world = rank_and_world()
        own = torch.from_numpy(order[rank::world][: self._n_own()])
        # An odd batch size can't keep pairs whole.
        together = 1 if self.section is None or self.batch_size % 2 else 2
        cuts = torch.tensor_split(torch.arange(0, len(own), together), len(self))
        yield from own.tensor_split([int(cut[0]) for cut in cuts[1:]])

    def _n_own(self) -> int:
        """Rows of this process: the same number on each, or one of them would wait for ever."""
        return max(1, self.n_rows // rank_and_world()[1])


def in_pairs(section: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Order rows at random, each beside another of its section; the last of an odd number come at the end."""
    order = rng.permutation(len(section))
    order = order[np.argsort(section[order], kind="stable")]  # section by section, each at random
    _, first, counts = np.unique(section[order], return_index=True, return_counts=True)
    alone = np.zeros(len(order), dtype=bool)
    alone[(first + counts - 1)[counts % 2 == 1]] = True
    pairs = rng.permutation(order[~alone].reshape(-1, 2))
    return np.concatenate([pairs.ravel(), rng.permutation(order[alone])])


def per_item(total: Tensor, n_items: int | Tensor) -> Tensor:
    """Divide a sum by its number of items, averaged over the processes of a distributed run; 0 where there are none.

    Gradients are averaged over processes: so each item weighs the same, whichever process has it. All must call it.
    """
    count = torch.as_tensor(n_items, device=total.device).to(total.dtype)
    return total / mean_over_ranks(count).clamp(min=1e-6)


def mean_over_ranks(value: Tensor) -> Tensor:
    """Mean over the processes of a distributed run; the value itself where there is one."""
    world = rank_and_world()[1]
    value = value.detach().clone()
    if world > 1:
        dist.all_reduce(value)
    return value / world


def rank_and_world() -> tuple[int, int]:
    """Return the number of this process and how many there are."""
    if dist.is_available() and dist.is_initialized():
        return dist.get_rank(), dist.get_world_size()
    return 0, 1
