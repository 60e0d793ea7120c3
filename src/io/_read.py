"""An AnnData from a file, checked against what was written."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from anndata import AnnData

from .._errors import FileError
from .._files import recover
from .._keys import Keys, LibraryKeys
from .._types import check_types
from . import _trailer
from ._manifest import check

_TRIES = 20  # as often as another process may replace a file while it is read

log = logging.getLogger("histoscribe")


def read(path: str | Path) -> AnnData:
    """Read an AnnData from ``.h5ad`` or ``.zarr``, and check that it is whole.

    Each element of a file that :func:`write` wrote is compared with the hash that was written with it: a deleted chunk,
    which zarr reads as zeros, or a flipped byte is an error. Files of other tools have no hashes; the log says so.

    The path of an image that is relative, in ``uns["spatial"]``, is taken relative to the file's folder and made
    absolute, if the image is there: file and image may be moved together. Text is read as arrays of Python strings from
    both formats.

    Parameters
    ----------
    path
        What :func:`write`, scanpy or anndata wrote.

    Raises
    ------
    FileError
        It is not there, no AnnData, broken (the message names the element) or of a newer format.

    Examples
    --------
    >>> adata = hs.io.read("section.zarr")
    >>> hs.tl.encode_image(adata, "stain_stats")
    """
    check_types(read, locals())
    path = Path(os.path.realpath(Path(path).expanduser()))
    recover(path)
    if not path.exists():
        raise FileError(f"path ({path})", found="nothing", expected="a .h5ad or .zarr", fix="Check the path.")
    adata = _read_whole(path)
    _resolve_images(adata, path.parent)
    return adata


def _read_whole(path: Path) -> AnnData:
    """Read, and again where the file was replaced meanwhile."""
    for _ in range(_TRIES):
        version = path.stat().st_ino
        try:
            return _read(path)
        except FileError:
            if not path.exists() or path.stat().st_ino == version:
                raise
    return _read(path)


def _read(path: Path) -> AnnData:
    import anndata

    reader: Callable[[Any], AnnData] = anndata.io.read_zarr if path.is_dir() else anndata.io.read_h5ad
    check_whole(path)
    with faults_named(path), opened(path) as root:
        has_raw = "raw" in root and not hasattr(root["raw"], "shape")
    with faults_named(path):
        adata = reader(path)
        if has_raw and adata.raw is None:  # anndata takes one without rows for none
            adata.raw = anndata.io.read_elem(_zarr(path)["raw"])
        return _with_plain_text(adata) if path.is_dir() else adata


def check_whole(path: Path) -> None:
    """Refuse what is no AnnData, or not as it was written, as far as hashes were written with it."""
    with faults_named(path):
        whole = path.is_file() and _trailer.check(path)
    with faults_named(path), opened(path) as root:
        _check_kind(root, path)
        if not whole and not check(root, str(path)):
            log.info("%s was not written by hs.io.write: whether it is whole can't be checked", path)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the file or store for a while."""
    if path.is_file() and not h5py.is_hdf5(path):
        fix = "Read a table with its own reader, such as scanpy.read_csv; an AnnData's file is damaged: copy it again."
        raise FileError(str(path), found="no HDF5 file", expected="the .h5ad or .zarr of an AnnData", fix=fix)
    with faults_named(path):
        root = _zarr(path) if path.is_dir() else h5py.File(path, "r")
    with closing(root) if isinstance(root, h5py.File) else nullcontext():
        yield root


def _zarr(path: Path) -> Any:
    import zarr

    return zarr.open_group(path, mode="r", use_consolidated=False)  # what is there, not what is listed


def _check_kind(root: Any, path: Path) -> None:
    if "obs" in root and "var" in root:
        return
    fix = "Check the path."
    if "spatialdata_attrs" in root.attrs:
        fix = "It is a SpatialData: hs.io.from_spatialdata(spatialdata.read_zarr(path))."
    elif "matrix" in root:
        fix = "It is of 10x: hs.io.read_visium(folder), or scanpy.read_10x_h5(path)."
    raise FileError(str(path), found=f"{sorted(root)[:8]}", expected="the obs and var of an AnnData", fix=fix)


@contextmanager
def faults_named(path: Path) -> Iterator[None]:
    """Turn what h5py, zarr and anndata raise, of whatever type, into one error."""
    try:
        yield
    except FileError:
        raise
    except Exception as error:
        said = [str(error).splitlines()[0] if str(error) else type(error).__name__, *getattr(error, "__notes__", [])]
        fix = "If it is an AnnData's, it is damaged: copy it again from where it is whole, or make it anew."
        raise FileError(
            str(path), found="; ".join(said)[:300], expected="the .h5ad or .zarr of an AnnData", fix=fix
        ) from error


def _with_plain_text(adata: AnnData) -> AnnData:
    """Replace numpy's new string arrays, which zarr gives, by what h5ad gives."""
    for where in ("uns", "obsm", "varm", "layers"):
        held = getattr(adata, where)
        for key, value in list(held.items()):
            if (plain := _plain(value)) is not value:
                held[key] = plain
    return adata


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        plain = {key: _plain(item) for key, item in value.items()}
        return plain if any(plain[key] is not item for key, item in value.items()) else value
    if isinstance(value, np.ndarray) and value.dtype.kind == "T":
        return value.astype(object)
    return value


def _resolve_images(adata: AnnData, folder: Path) -> None:
    for entry in adata.uns.get(Keys.LIBRARIES, {}).values():
        stated = entry.get(LibraryKeys.METADATA, {}) if isinstance(entry, Mapping) else {}
        path = stated.get(LibraryKeys.PATH) if isinstance(stated, Mapping) else None
        if isinstance(path, str) and not Path(path).expanduser().is_absolute() and (folder / path).is_file():
            stated[LibraryKeys.PATH] = str(folder / path)
