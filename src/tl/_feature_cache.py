"""Vectors kept on disk between calls: a zarr array, each chunk of it with the hash of what it must hold."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._atomic import atomic, beside
from .._errors import FileError
from .._settings import settings
from .._warn import warn

CHUNK_ROWS = 1024
_FORMAT = 1  # raised when pixels are read, or vectors made, in another way
_ABSENT = np.uint32(0x7FC0AB5E)  # a NaN that no computation gives: a row that is not there yet


class _BrokenStoreError(Exception):
    """What zarr says of files, codecs and metadata that are truncated or another's, or of a disk."""


@contextmanager
def _zarr_errors() -> Iterator[None]:
    """Around calls of zarr alone, which raises all of these; in our own code they are faults."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise _BrokenStoreError(str(error)) from error


def cache_key(described: Mapping[str, Any], *arrays: NDArray[Any]) -> str:
    """Hash of everything that vectors depend on."""
    digest = hashlib.sha256(json.dumps({"format": _FORMAT, **described}, sort_keys=True).encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


class FeatureCache:
    """The folder of all stores; once writing to it has failed it says so and writes no more."""

    def __init__(self) -> None:
        self.folder = settings.cache_dir / "features"
        self.failed = False

    def store(self, n_rows: int, described: Mapping[str, Any], *arrays: NDArray[Any]) -> "Store":
        """Vectors of ``n_rows`` rows that depend on what is described, whether they are on disk or not."""
        return Store(self, self.folder / f"{cache_key(described, *arrays)}.zarr", n_rows, described)

    def fail(self, error: BaseException) -> None:
        """Warn that nothing is kept; the computation goes on."""
        if not self.failed:
            self.failed = True
            msg = (
                f"image vectors are not cached, and an interrupted run can't continue: {self.folder} can't be written "
                f"({error}). Set hs.settings.cache_dir to a folder with room, or pass cache=False."
            )
            warn(msg)


class Store:
    """Vectors (n, d) of one section, in chunks of rows.

    A chunk counts as done only where its mark, written after it, is the hash of what the chunk holds: zarr alone
    would read a deleted chunk as if it had been written. Files are written beside and renamed, so that processes that
    make the same vectors at once do not harm each other.

    Parameters
    ----------
    cache
        The folder that it is in.
    path
        Its own folder.
    n_rows
        Number of vectors.
    described
        What a person who looks into the folder should find there.
    """

    def __init__(self, cache: FeatureCache, path: Path, n_rows: int, described: Mapping[str, Any]) -> None:
        self._cache, self._path, self._n, self._described = cache, path, n_rows, described
        self._arrays: tuple[Any, Any] | None = None

    def chunks(self) -> list[slice]:
        """Rows of each chunk."""
        return [slice(start, min(start + CHUNK_ROWS, self._n)) for start in range(0, self._n, CHUNK_ROWS)]

    def read(self, chunk: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
        """Vectors of a chunk and which of its rows are there; None if it is not as it was written."""
        rows = self.chunks()[chunk]
        try:
            vectors, marks = self._arrays or self._opened()
            with _zarr_errors():
                found, mark = np.asarray(vectors[rows]), bytes(marks[chunk])
        except (OSError, _BrokenStoreError):
            return None
        return (found, found.view(np.uint32)[:, 0] != _ABSENT) if mark == _digest(found) else None

    def write(self, chunk: int, rows: NDArray[np.float32], there: NDArray[np.bool_] | None = None) -> None:
        """Keep a chunk, or those of its rows that are there, then write its mark."""
        if self._cache.failed:
            return
        if there is not None:
            rows = rows.copy()
            rows.view(np.uint32)[~there] = _ABSENT
        place, mark = self.chunks()[chunk], np.frombuffer(_digest(rows), dtype=np.uint8)
        try:
            vectors, marks = self._writable(rows.shape[1])
            with _zarr_errors():
                vectors[place] = rows
                marks[chunk] = mark
        except (OSError, FileError, _BrokenStoreError) as error:
            self._cache.fail(error)

    def _opened(self) -> tuple[Any, Any]:
        import zarr

        if not self._path.is_dir():  # zarr would make the folder
            raise FileNotFoundError(self._path)
        n_chunks = len(self.chunks())
        with _zarr_errors():
            group = zarr.open_group(_folder(self._path), mode="r+", zarr_format=3)
            vectors: Any = group["vectors"]
            marks: Any = group["marks"]
            shapes = vectors.shape[0], vectors.chunks[0], marks.shape
        if shapes != (self._n, min(self._n, CHUNK_ROWS), (n_chunks, 32)):
            raise _BrokenStoreError(f"another store at {self._path}")
        self._arrays = vectors, marks
        return vectors, marks

    def _writable(self, dim: int) -> tuple[Any, Any]:
        try:
            vectors, marks = self._arrays or self._opened()
            if vectors.shape[1] == dim:
                return vectors, marks
            self._remove()
        except FileNotFoundError:
            pass
        except _BrokenStoreError:
            self._remove()
        self._create(dim)
        return self._opened()

    def _remove(self) -> None:
        """Take away a store that can't be read."""
        with beside(self._path) as aside, suppress(FileNotFoundError):  # another process was faster
            os.replace(self._path, aside)

    def _create(self, dim: int) -> None:
        """Make an empty store beside and rename it; one that another process made meanwhile stays."""
        with beside(self._path) as new:
            with _zarr_errors():
                self._write_empty(new, dim)
            try:
                os.replace(new, self._path)
            except OSError:
                if not self._path.is_dir():
                    raise

    def _write_empty(self, path: Path, dim: int) -> None:
        import zarr

        group = zarr.create_group(path, zarr_format=3, attributes=dict(self._described))
        # Compression takes longer than it saves: mantissas are noise.
        group.create_array(
            "vectors",
            shape=(self._n, dim),
            chunks=(min(self._n, CHUNK_ROWS), dim),
            dtype="float32",
            compressors=None,
            fill_value=float("nan"),
        )
        group.create_array(
            "marks", shape=(len(self.chunks()), 32), chunks=(1, 32), dtype="uint8", compressors=None, fill_value=0
        )


def _folder(path: Path) -> Any:
    """Folder of a zarr store in which what a killed process left of a chunk goes when that chunk is written again."""
    from zarr.storage import LocalStore

    class Folder(LocalStore):
        async def set(self, key: str, value: Any) -> None:
            with atomic(self.root / key) as new:
                new.write_bytes(value.to_bytes())

    return Folder(path)


def _digest(rows: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(rows).tobytes()).digest()
