"""A few slots of a large file exchanged: in a copy that takes the file's place once it is whole."""

import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._files import atomic, atomic_folder
from .._keys import Slot, slug
from . import _trailer
from ._hdf5 import changed_file
from ._manifest import reseal
from ._write import failed
from ._zarr_tasks import settled


class Amended:
    """The open copy of a file.

    Parameters
    ----------
    root
        Root of the HDF5 file or zarr store.
    """

    def __init__(self, root: Any) -> None:
        self._root, self.changed = root, set[str]()

    def put(self, slot: Slot, value: Any) -> None:
        """Write the value of a slot; a column of ``obs`` takes its place among the others."""
        import anndata

        holder, key = self._holder(slot.where), slug(slot)
        anndata.io.write_elem(holder, key, value)
        if slot.where == "obs":
            columns = [str(name) for name in holder.attrs["column-order"]]
            holder.attrs["column-order"] = [*columns, *([] if key in columns else [key])]
        self._changed(slot.where, key)

    def rows(self, slot: Slot, n: int, dim: int) -> Any:
        """Make room for float32 vectors (n, dim), to be filled by blocks of rows."""
        holder, key = self._holder(slot.where), slug(slot)
        self._changed(slot.where, key)
        there: Any = holder.get(key)
        if getattr(there, "shape", None) == (n, dim) and there.dtype == np.float32:
            return there  # HDF5 would not give the room back
        if there is not None:
            del holder[key]
        make = holder.create_array if hasattr(holder, "create_array") else holder.create_dataset
        made = make(key, shape=(n, dim), dtype="float32", chunks=(min(n, 1 << 14), dim))
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        return made

    def _holder(self, where: str) -> Any:
        import anndata

        if where not in self._root:
            anndata.io.write_elem(self._root, where, {})
        return self._root[where]

    def _changed(self, where: str, key: str) -> None:
        self.changed |= {where, f"{where}/{key}"}


@contextmanager
def amended(path: Path) -> Iterator[Amended]:
    """Yield a copy of an ``.h5ad`` or ``.zarr``, which takes its place in one step once the block has ended well.

    Hashes that :func:`write` wrote are brought up to date; those of what did not change are kept.

    Raises
    ------
    FileError
        The disk is full or read-only; the file is as it was.
    """
    amend = _amended_folder if path.is_dir() else _amended_file
    with amend(path) as copy:
        yield copy


@contextmanager
def _amended_file(path: Path) -> Iterator[Amended]:
    with atomic(path) as beside:
        shutil.copyfile(path, beside)
        hashed = _trailer.stated(beside) is not None
        _trailer.strip(beside)
        with changed_file(beside) as (root, check_disk):
            copy = Amended(root)
            yield copy
            try:
                check_disk()
                reseal(root, copy.changed)
                root.flush()
                check_disk()
            except OSError as error:
                raise failed(path, error) from error
        if hashed:
            _trailer.append(beside)


@contextmanager
def _amended_folder(path: Path) -> Iterator[Amended]:
    import zarr

    with atomic_folder(path) as beside, settled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        try:
            shutil.copytree(path, beside, dirs_exist_ok=True)
        except shutil.Error as error:
            raise failed(path, error) from error
        consolidated = zarr.open_group(beside, mode="r").metadata.consolidated_metadata is not None
        root = zarr.open_group(beside, mode="r+", use_consolidated=False)
        copy = Amended(root)
        yield copy
        reseal(root, copy.changed)
        if consolidated:
            zarr.consolidate_metadata(root.store)
