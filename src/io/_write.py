"""An AnnData into a file that is whole or not there."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
from anndata import AnnData

from .._counts import named_layers
from .._errors import FileError, OptionError
from .._files import atomic, atomic_folder, recover
from .._types import check_types
from ._hdf5 import new_file
from ._manifest import seal
from ._storable import Kind, check_storable
from ._trailer import append
from ._zarr_tasks import settled

_KINDS: dict[str, Kind] = {".h5ad": "h5ad", ".zarr": "zarr"}
_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_OWN = {"X", "layers", "obs", "obsm", "obsp", "raw", "uns", "var", "varm", "varp"}
_ZARR_FILES = {".zgroup", ".zattrs", ".zmetadata", "zarr.json"}


def write(adata: AnnData, path: str | Path, *, overwrite: bool = True) -> None:
    """Write an AnnData to ``.h5ad`` or ``.zarr`` so that neither a kill nor a full disk can cost the old file.

    It is written beside, waited for until it is on the disk, and put into place in one step: whoever reads finds the
    old content or the new. A hash of each element is written with it, which :func:`read` checks. What the format can't
    hold, or would change, is refused before anything is written. scanpy and anndata read the files as any other.

    As in anndata, lists come back as arrays, scalars of numpy as Python's, and tables with text as they were.

    Parameters
    ----------
    adata
        What to write; it is not changed.
    path
        File that ends in ``.h5ad``, or folder that ends in ``.zarr``. A link is followed. What earlier writes to the
        same path left when they were killed is removed.
    overwrite
        Whether an AnnData that is there is replaced, as scanpy and anndata do it. Anything else never is.

    Raises
    ------
    OptionError
        A value or key can't be stored (the message names it), ``adata`` is backed, or ``path`` has another ending.
    FileError
        Something that is no AnnData is at ``path``, or it can't be written there; what was there is as it was.

    Examples
    --------
    >>> hs.io.write(adata, "section.h5ad")
    >>> adata = hs.io.read("section.h5ad")
    """
    check_types(write, locals())
    kind = _check(adata, path)
    path = Path(os.path.realpath(Path(path).expanduser()))
    recover(path)
    _check_replaceable(path, kind, overwrite=overwrite)
    check_storable(adata, kind)
    if kind == "h5ad":
        with atomic(path) as beside:
            _write_h5ad(adata, beside, path)
    else:
        with atomic_folder(path) as beside:
            _write_zarr(adata, beside, path)


def _check(adata: Any, path: str | Path) -> Kind:
    if not isinstance(adata, AnnData):
        fix = "Write sections one by one; a SpatialData has its own write()."
        raise OptionError("adata", found=f"a {type(adata).__name__}", expected="an AnnData", fix=fix)
    if adata.isbacked:
        fix = "Load it: hs.io.write(adata.to_memory(), path)."
        raise OptionError("adata", found="a backed AnnData", expected="one in memory", fix=fix)
    if Path(path).suffix not in _KINDS:
        fix = "Name it section.h5ad, or section.zarr for a folder."
        raise OptionError("path", found=repr(str(path)), expected=f"an ending of {list(_KINDS)}", fix=fix)
    return _KINDS[Path(path).suffix]


def _check_replaceable(path: Path, kind: Kind, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not overwrite:
        fix = "Pass overwrite=True, or another name."
        raise FileError(str(path), found="something there", expected="nothing, as overwrite=False", fix=fix)
    try:
        found = _foreign_file(path) if kind == "h5ad" else _foreign_folder(path)
    except OSError as error:
        found = str(error)
    if found:
        fix = "Nothing was touched: name another path, or remove it yourself."
        raise FileError(str(path), found=found, expected=f"nothing, or the {kind} of an AnnData", fix=fix)


def _foreign_file(path: Path) -> str | None:
    """Say what a file is that is no h5ad; one that is broken was one."""
    if path.is_dir():
        return "a folder"
    with path.open("rb") as file:
        start = file.read(len(_HDF5_MAGIC))
    if start not in (b"", _HDF5_MAGIC):
        return "a file that is no HDF5"
    try:
        with h5py.File(path, "r") as file:
            names = set(file)
    except (OSError, RuntimeError, KeyError):
        return None
    return f"an HDF5 file of {sorted(names)[:5]}" if names and not names & {"X", "obs", "var"} else None


def _foreign_folder(path: Path) -> str | None:
    if not path.is_dir():
        return "a file"
    names = {entry.name for entry in path.iterdir()}
    if others := sorted(names - _OWN - _ZARR_FILES):
        return f"a folder that holds {others[:5]}"
    return "a folder that is no zarr" if names and not names & _ZARR_FILES else None


def _write_h5ad(adata: AnnData, beside: Path, path: Path) -> None:
    import anndata

    try:
        with new_file(beside) as (root, check_disk):
            root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
            for name, value in _elements(adata):
                # Not into categories, as anndata does it: what is text stays text, and adata stays as it is.
                anndata.io.write_elem(root, name, value)
                check_disk()
            root.flush()
            check_disk()
            seal(root)
        append(beside)
    except Exception as error:
        raise failed(path, error) from error


def _elements(adata: AnnData) -> Iterator[tuple[str, Any]]:
    for name in ("X", "raw", "obs", "var"):
        if (value := getattr(adata, name)) is not None:
            yield name, value
    for name in ("obsm", "varm", "obsp", "varp", "uns"):
        yield name, dict(getattr(adata, name))
    yield "layers", named_layers(adata)


def _write_zarr(adata: AnnData, beside: Path, path: Path) -> None:
    import anndata
    import zarr

    try:
        with settled(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Writing zarr v2 data will no longer be the default")
            warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
            anndata.io.write_zarr(beside, adata, convert_strings_to_categoricals=False)
            root = zarr.open_group(beside, mode="r+", use_consolidated=False)
            seal(root)
            zarr.consolidate_metadata(root.store)
    except Exception as error:
        raise failed(path, error) from error


def failed(path: Path, error: Exception) -> FileError:
    """Say it in our words: what libraries raise on a full disk has many types, and rarely its number."""
    number = getattr(error, "errno", None)
    said = os.strerror(number) if number else str(error).partition("\n")[0] or type(error).__name__
    said = "; ".join([said, *getattr(error, "__notes__", [])])
    fix = "Choose a folder that can be written to, with space left; or convert what the message names."
    return FileError(str(path), found=said[:300], expected="a whole file", fix=fix)
