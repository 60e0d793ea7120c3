"""An HDF5 file on a disk that may be full: HDF5 itself crashes the process some time after a write that failed."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import h5py

_METADATA_BYTES = 1 << 20  # HDF5 reads its own metadata back; values it does not


class _Patient(io.RawIOBase):
    """A file whose writes never fail: what the disk refuses is kept in memory, until HDF5 has closed the file."""

    def __init__(self, path: Path, mode: Literal["w+b", "r+b"] = "w+b") -> None:
        self.error: OSError | None = None
        self._file = path.open(mode, buffering=0)
        self._at, self._size = 0, path.stat().st_size
        self._kept: dict[int, bytes] = {}

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self.error is None:
            try:
                self._file.seek(self._at)
                done = 0
                while done < len(view):
                    done += self._file.write(view[done:])
            except OSError as error:
                self.error = error
        if self.error is not None and len(view) <= _METADATA_BYTES:
            self._kept.pop(self._at, None)
            self._kept[self._at] = bytes(view)
        self._at += len(view)
        self._size = max(self._size, self._at)
        return len(view)

    def readinto(self, buffer: Any) -> int:
        view, start = memoryview(buffer).cast("B"), self._at
        self._file.seek(start)
        there = self._file.read(len(view)) or b""
        view[:] = there + bytes(len(view) - len(there))
        for at, piece in self._kept.items():
            low, high = max(at, start), min(at + len(piece), start + len(view))
            if low < high:
                view[low - start : high - start] = piece[low - at : high - at]
        self._at += len(view)
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def truncate(self, size: int | None = None) -> int:
        self._size = self._at if size is None else size
        if self.error is None:
            try:
                self._file.truncate(self._size)
            except OSError as error:
                self.error = error
        return self._size

    def close(self) -> None:
        self._file.close()
        super().close()

    def check(self) -> None:
        """Raise what the disk said."""
        if self.error is not None:
            raise self.error


@contextmanager
def new_file(path: Path) -> Iterator[tuple[h5py.File, Any]]:
    """Yield a new HDF5 file, and a function that raises what went wrong with its writes so far."""
    with _opened(_Patient(path), "w") as opened:
        yield opened


@contextmanager
def changed_file(path: Path) -> Iterator[tuple[h5py.File, Any]]:
    """Yield an HDF5 file that is there as :func:`new_file` yields a new one."""
    with _opened(_Patient(path, "r+b"), "r+") as opened:
        yield opened


@contextmanager
def _opened(file: _Patient, mode: str) -> Iterator[tuple[h5py.File, Any]]:
    try:
        with h5py.File(file, mode) as root:
            yield root, file.check
        file.check()
    finally:
        file.close()
