"""Gene tokens of many spots, in memory or on disk: read by rows, so that a corpus may be larger than memory."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..._errors import FileError
from ..._vocabulary import PAD
from ._neighbourhoods import ABSENT

_GAP = 32  # rows between two wanted ones that are read along: less work than another read
_HASHED_AT_ONCE = 1 << 22


class OnDisk:
    """Array in a file, read by slices of rows; never mapped, for mapped pages count as memory.

    Parameters
    ----------
    path
        File that holds the values alone.
    dtype
        Their type.
    shape
        Rows, and columns where there are any.
    """

    def __init__(self, path: Path, dtype: str, shape: Sequence[int]) -> None:
        self.path, self.dtype, self.shape = path, np.dtype(dtype), tuple(shape)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        start, stop, _ = rows.indices(len(self))
        width = int(np.prod(self.shape[1:], dtype=np.int64))
        count, offset = (stop - start) * width, start * width * self.dtype.itemsize
        values = np.fromfile(self.path, dtype=self.dtype, count=count, offset=offset)
        if len(values) != count:
            fix = "Something removed or changed it meanwhile: start again, and it is made anew."
            raise FileError(str(self.path), found="its end", expected=f"{len(self)} rows", fix=fix)
        return values.reshape(-1, *self.shape[1:])


Values: TypeAlias = NDArray[Any] | OnDisk


@dataclass(frozen=True)
class Part:
    """Spots of one AnnData or file: section by section, each along a curve, so that neighbours are read at once.

    Parameters
    ----------
    tokens
        Gene tokens of all spots, one after another, without padding.
    starts
        Where the tokens of each spot start (n + 1,).
    xy
        Centres (n, 2), um.
    stops
        Where each section ends.
    pitches
        Distance between neighbouring spots of each section, um; None where it has no two.
    sha256
        Hash of all this.
    """

    tokens: Values
    starts: Values
    xy: Values
    stops: tuple[int, ...]
    pitches: tuple[float | None, ...]
    sha256: str

    def __len__(self) -> int:
        return len(self.xy)


def part_hash(*arrays: Values) -> str:
    """Hash of arrays, a block of rows at a time."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype}".encode())
        for start in range(0, len(array), _HASHED_AT_ONCE):
            digest.update(np.ascontiguousarray(array[start : start + _HASHED_AT_ONCE]).tobytes())
    return digest.hexdigest()


class Corpus:
    """Spots of many parts, numbered through; a spot has the same number wherever its tokens are kept."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = list(parts)
        self._ends = np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self._ends[-1])

    @property
    def sections(self) -> list[tuple[int, int, float | None]]:
        """First spot, end and pitch of each section."""
        found = []
        for part, end in zip(self.parts, self._ends.tolist(), strict=True):
            first = end - len(part)
            starts = (0, *part.stops)[:-1]
            stretches = zip(starts, part.stops, part.pitches, strict=True)
            found += [(first + start, first + stop, pitch) for start, stop, pitch in stretches]
        return found

    def xy(self, start: int, stop: int) -> NDArray[np.float64]:
        """Centres of spots of one part, um."""
        part, first = self._part(start)
        return part.xy[start - first : stop - first]

    def lengths(self, start: int, stop: int) -> NDArray[np.int64]:
        """Numbers of tokens of spots of one part."""
        part, first = self._part(start)
        return np.diff(part.starts[start - first : stop - first + 1])

    def tokens(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens (n, l) of spots, padded to the longest; of an absent one, padding."""
        wanted, back = np.unique(rows, return_inverse=True)
        held = wanted[wanted != ABSENT]
        flat, own = self.ragged(held)
        lengths = np.zeros(len(wanted), dtype=np.int64)
        lengths[len(wanted) - len(held) :] = own
        filled = np.arange(max(int(lengths.max(initial=0)), 1)) < lengths[:, None]
        tokens = np.full(filled.shape, PAD, dtype=np.int64)
        tokens[filled] = flat
        return tokens[back.reshape(-1)]

    def ragged(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Tokens of spots, in ascending order, one after another, and how many each has."""
        if not len(rows):
            return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
        flat, lengths = zip(*(self._read(rows[run]) for run in _runs(rows, self._ends)), strict=True)
        return np.concatenate(flat), np.concatenate(lengths)

    @property
    def sha256(self) -> str:
        """Hash of all parts."""
        return hashlib.sha256("".join(part.sha256 for part in self.parts).encode()).hexdigest()

    def _part(self, row: int) -> tuple[Part, int]:
        number = int(np.searchsorted(self._ends, row, side="right"))
        return self.parts[number], int(self._ends[number]) - len(self.parts[number])

    def _read(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Tokens and lengths of near rows of one part, all read at once."""
        part, first = self._part(int(rows[0]))
        own = rows - first
        starts = part.starts[int(own[0]) : int(own[-1]) + 2]
        values = part.tokens[int(starts[0]) : int(starts[-1])]
        lengths = np.diff(starts)
        kept = np.zeros(len(lengths), dtype=bool)
        kept[own - own[0]] = True
        return values[np.repeat(kept, lengths)], lengths[kept]


def _runs(rows: NDArray[np.int64], ends: NDArray[np.int64]) -> list[slice]:
    """Cut ascending rows where many are left out in between, and where a part ends."""
    part = np.searchsorted(ends, rows, side="right")
    cuts = np.flatnonzero((np.diff(rows) > _GAP) | (np.diff(part) > 0)) + 1
    return [slice(start, stop) for start, stop in zip([0, *cuts], [*cuts, len(rows)], strict=True)]
