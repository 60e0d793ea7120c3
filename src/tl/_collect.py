"""Vectors as they come from the encoder, in any order: gathered in rows, chunks kept on disk."""

import time

import numpy as np
from numpy.typing import NDArray

from .._errors import OptionError
from ._feature_cache import Store

KEEP_AFTER_S = 30.0  # what a killed run may lose


class Collector:
    """Vectors of all rows of one AnnData; zero where none came.

    Parameters
    ----------
    n
        Number of rows.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._vectors: NDArray[np.float32] | None = None
        self._chunks: list[tuple[Store, int, NDArray[np.intp]]] = []
        self._chunk_of = np.full(n, -1, dtype=np.int64)
        self._done = np.zeros(n, dtype=np.bool_)
        self._begun: set[int] = set()  # chunks with rows that are not on disk yet
        self._kept_s = time.monotonic()

    @property
    def vectors(self) -> NDArray[np.float32]:
        """All rows (n, d)."""
        return np.zeros((self._n, 0), dtype=np.float32) if self._vectors is None else self._vectors

    def restore(self, store: Store, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Fill rows from a store, and return which of them were not there; these go into it as they are done."""
        missing = np.zeros(len(rows), dtype=np.bool_)
        for number, part in enumerate(store.chunks()):
            found, there = store.read(number) or (None, np.zeros(len(rows[part]), dtype=np.bool_))
            if found is not None:
                self.add(rows[part][there], found[there])
                self._done[rows[part][there]] = True
            if there.all():
                continue
            missing[part] = ~there
            self._chunk_of[rows[part]] = len(self._chunks)
            self._chunks.append((store, number, rows[part]))
        return missing

    def add(self, rows: NDArray[np.intp], vectors: NDArray[np.float32]) -> None:
        """Add vectors to rows; no row twice in one call."""
        if self._vectors is None:
            self._vectors = np.zeros((self._n, vectors.shape[1]), dtype=np.float32)
        if vectors.shape[1] != self._vectors.shape[1]:
            found = f"{vectors.shape[1]} numbers a tile after {self._vectors.shape[1]}, under one sha256"
            fix = "Give the encoder another sha256 whenever its numbers change, or pass cache=False."
            raise OptionError("encoder", found=found, expected="vectors of one length", fix=fix)
        self._vectors[rows] += vectors

    def finish(self, rows: NDArray[np.intp]) -> None:
        """Take note that nothing will be added to these rows any more."""
        self._done[rows] = True
        chunk = self._chunk_of[rows]
        touched = np.unique(chunk[chunk >= 0]).tolist()
        self._begun.update(touched)
        for number in touched:
            if self._done[self._chunks[number][2]].all():
                self._write(number)
        if time.monotonic() - self._kept_s > KEEP_AFTER_S:
            self.keep()

    def keep(self) -> None:
        """Write what is done of chunks that are not complete."""
        for number in sorted(self._begun):
            self._write(number)
        self._kept_s = time.monotonic()

    def _write(self, number: int) -> None:
        store, index, rows = self._chunks[number]
        self._begun.discard(number)
        store.write(index, self.vectors[rows], self._done[rows])
