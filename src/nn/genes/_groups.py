"""Tokens served as neighbourhoods: other groups each epoch, the same on every machine."""

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from .._data import Batch, rank_and_world
from ._chunks import Chunk, chunks_of, mixes
from ._corpus import Corpus
from ._neighbourhoods import ABSENT, Groups, around, partition
from ._strata import n_strata, strata

Asked: TypeAlias = tuple[Groups, tuple[int, int]]
"""Groups (b, size) of rows, and the seed and epoch that say which of their genes are hidden."""

_EXTENT_PITCHES, _LEAST_EXTENT_UM = 6, 300.0


class GroupRows(Dataset[Batch]):
    """Tokens of spots, asked for by groups of neighbours.

    Parameters
    ----------
    corpus
        All spots.
    chosen
        Which of them are served (n,).
    size
        Most spots of a group.
    max_extent_um
        Largest distance between two spots of a group; None takes six times the distance between neighbouring spots of
        the section, and 300 um at least. Where spots are denser than a sixth of it, a group is of a random part of
        them, so that it still reaches as far.
    overlap
        Whether every spot is the centre of a group; else each spot is in one group.
    """

    def __init__(
        self,
        corpus: Corpus,
        chosen: NDArray[np.bool_],
        *,
        size: int,
        max_extent_um: float | None = None,
        overlap: bool = False,
    ) -> None:
        self.corpus, self.chosen = corpus, chosen
        self.overlap = overlap
        self.extents = [max_extent_um or extent_um(pitch) for _, _, pitch in corpus.sections]
        self.chunks = chunks_of(corpus, chosen)
        self.size = min(size, max((chunk.n_chosen for chunk in self.chunks), default=size))  # no group is larger
        self._n_strata: dict[Chunk, int] = {}

    def __len__(self) -> int:
        return sum(chunk.n_chosen for chunk in self.chunks)

    def __getitem__(self, asked: Asked) -> Batch:
        groups, seed = asked
        tokens = self.corpus.tokens(groups.ravel()).reshape(*groups.shape, -1)
        return {"tokens": torch.from_numpy(tokens), "spot": torch.from_numpy(groups), "seed": torch.tensor(seed)}

    def groups(self, chunk: Chunk, seed: int, epoch: int) -> Groups:
        """Make the groups of a chunk in an epoch."""
        rows = chunk.start + np.flatnonzero(self.chosen[chunk.start : chunk.stop])
        xy = self.corpus.xy(chunk.start, chunk.stop)[rows - chunk.start]
        extent = self.extents[chunk.section]
        if chunk not in self._n_strata:
            self._n_strata[chunk] = n_strata(xy, extent)
        seeds = [seed, epoch, chunk.start]
        stratum = strata(len(xy), self._n_strata[chunk], seeds)
        if self.overlap:
            found = around(xy, stratum, size=self.size, max_extent_um=extent)
        else:
            found = partition(xy, stratum, size=self.size, max_extent_um=extent, seed=[*seeds, 1])
        return np.where(found == ABSENT, ABSENT, rows[found])

    def batches(self, batch_size: int, seed: int, epoch: Callable[[], int] | None) -> "GroupBatches":
        """Share the groups out over batches of ``batch_size`` spots at most on average."""
        return GroupBatches(self, batch_size, seed, epoch)

    def sha256(self) -> str:
        """Hash of the corpus, of which spots are served, and how."""
        said = f"{self.corpus.sha256} {self.size} {self.extents} {self.overlap}"
        return hashlib.sha256(said.encode() + np.packbits(self.chosen).tobytes()).hexdigest()


class GroupBatches(Sampler[Asked]):
    """Groups of each batch, a function of the seed and the epoch; processes share each batch out among them.

    Chunks of the corpus come in random order. A few that follow each other in it are mixed, so that a batch is of many
    places though only their groups are held. The number of batches is the same in every epoch, though that of groups is not: the
    learning rate depends on it.

    Parameters
    ----------
    rows
        The spots.
    batch_size
        Spots of a batch on each device; at least one group.
    seed
        First part of the seed.
    epoch
        Gives the second part when a pass over the data begins; None keeps the groups the same.
    """

    def __init__(self, rows: GroupRows, batch_size: int, seed: int, epoch: Callable[[], int] | None) -> None:
        self.rows, self.batch_size, self.seed, self.epoch = rows, batch_size, seed, epoch

    def __len__(self) -> int:
        least = len(self.rows) if self.rows.overlap else -(-len(self.rows) // self.rows.size)  # groups
        world = rank_and_world()[1]
        together = max(1, self.batch_size // self.rows.size) * world
        return max(1, min(-(-least // together), least // world))

    def __iter__(self) -> Iterator[Asked]:
        epoch = 0 if self.epoch is None else self.epoch()
        rank, world = rank_and_world()
        rng = np.random.default_rng([self.seed, epoch])
        chunks = [self.rows.chunks[k] for k in rng.permutation(len(self.rows.chunks))]
        for mixed, n_batches in mixes(chunks, len(self)):
            groups = np.concatenate([self.rows.groups(chunk, self.seed, epoch) for chunk in mixed])
            for batch in np.array_split(rng.permutation(groups), n_batches):
                own = batch[rank::world]
                # A process without a group of its own takes part in the step all the same.
                yield own if len(own) else np.full((1, self.rows.size), ABSENT), (self.seed, epoch)


def extent_um(pitch: float | None) -> float:
    """Return the largest distance in a neighbourhood of spots that are ``pitch`` um apart."""
    return max(_EXTENT_PITCHES * (pitch or 0.0), _LEAST_EXTENT_UM)
