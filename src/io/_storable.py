"""Whether h5ad or zarr can hold what an AnnData holds, known before anything is written."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from typing import Any, Literal, TypeAlias

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._counts import named_layers
from .._errors import OptionError

Kind: TypeAlias = Literal["h5ad", "zarr"]
Try: TypeAlias = Callable[[Any], None]

_NUMBERS = "biufc"
_FIXES = {
    tuple: "Make it a list or an array: {name} = list({name}).",
    set: "Make it a sorted list: {name} = sorted({name}).",
    frozenset: "Make it a sorted list: {name} = sorted({name}).",
    pd.Series: "Make it an array or a table: {name} = {name}.to_numpy(), or {name}.to_frame().",
    pd.Index: "Make it an array: {name} = {name}.to_numpy().",
}
_TEXT = (
    "Make a column a category, {name} = {name}.astype('category'), which keeps missing values apart; or make it text, "
    "which turns them into words: {name} = {name}.astype(str)."
)
_OTHER = "Convert it to text, numbers, arrays, tables or dicts of these, or remove it."
_KEYS = "a name that is not empty, '.' or '..' and has no '/'"


def check_storable(adata: AnnData, kind: Kind) -> None:
    """Refuse what would be lost, changed or refused half way through a write.

    Raises
    ------
    OptionError
        It names the first such thing.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the trial: the write itself says them
        with _trial(kind) as trial:
            for name, value in _parts(adata):
                _check(name, value, trial)


def _parts(adata: AnnData) -> Iterator[tuple[str, Any]]:
    yield "adata.obs", adata.obs
    yield "adata.var", adata.var
    yield "adata.uns", dict(adata.uns)
    yield "adata.layers", named_layers(adata)
    for where in ("obsm", "varm", "obsp", "varp"):
        yield f"adata.{where}", dict(getattr(adata, where))
    if adata.X is not None:
        yield "adata.X", adata.X
    if adata.raw is not None:
        yield "adata.raw.X", adata.raw.X
        yield "adata.raw.var", adata.raw.var
        yield "adata.raw.varm", dict(adata.raw.varm)


@contextmanager
def _trial(kind: Kind) -> Iterator[Try]:
    """Write a value into memory in the very format, so that no rule of anndata's is repeated here."""
    import anndata
    import zarr

    with ExitStack() as stack:
        if kind == "h5ad":
            root: Any = stack.enter_context(h5py.File(BytesIO(), "w"))
        else:
            root = zarr.group(zarr.storage.MemoryStore(), zarr_format=getattr(anndata.settings, "zarr_write_format", 3))
        yield partial(anndata.io.write_elem, root, "value")


def _check(name: str, value: Any, trial: Try) -> None:
    if isinstance(value, Mapping):
        for key, item in value.items():
            _check_key(name, key)
            _check(f"{name}[{key!r}]", item, trial)
    elif isinstance(value, pd.DataFrame):
        _check_table(name, value, trial)
    elif isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        fix = f"Write NaN where it is masked: {name} = {name}.filled(np.nan)."
        raise _refused(name, "a masked array: its mask would be lost", fix)
    elif isinstance(value, np.ndarray) and value.dtype.kind in _NUMBERS:
        _attempt(name, value, trial, as_well=np.empty(0, value.dtype))
    elif sp.issparse(value):
        if value.format not in ("csr", "csc"):
            raise _refused(name, f"a sparse matrix of format {value.format}", f"Convert it: {name} = {name}.tocsr().")
        _attempt(name, value, trial, as_well=np.empty(0, value.dtype))
    elif _is_text(value):
        _check_text(name, value)
    elif isinstance(value, pd.Categorical):
        _check(f"{name}.categories", value.categories.to_numpy(), trial)
    elif not (value is None or _is_number(value) or hasattr(value, "dask")):
        _attempt(name, value, trial)


def _check_key(name: str, key: Any) -> None:
    if not isinstance(key, str):
        raise _refused(f"{name}[{key!r}]", f"a key of type {type(key).__name__}", f"Use a string: {str(key)!r}.", _KEYS)
    if "/" in key or key in ("", ".", ".."):
        raise _refused(f"{name}[{key!r}]", f"the key {key!r}", "Rename it.", _KEYS)


def _check_table(name: str, table: pd.DataFrame, trial: Try) -> None:
    for key in table.columns:
        _check_key(name, key)
    same = [key for key in table.columns if key == table.index.name]  # must hold what the index holds
    _attempt(name, table[same], trial)
    _attempt(name, pd.DataFrame(columns=table.columns, dtype=float), trial)
    _check_text(f"{name}.index", table.index.to_numpy())
    for key in table.columns[[not _is_plain(dtype) for dtype in table.dtypes]]:
        values = table[key].cat.categories if table[key].dtype == "category" else table[key]
        if _is_text(values) or isinstance(values, pd.IntervalIndex | pd.PeriodIndex):  # zarr would make text of these
            _check_text(f"{name}[{key!r}]", values.to_numpy(dtype=object))
        else:
            _attempt(f"{name}[{key!r}]", table[[key]].reset_index(drop=True), trial)


def _is_plain(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind in _NUMBERS


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 2**63)


def _is_text(value: Any) -> bool:
    """Whether it is text, or what is to be one: a list, an array of objects."""
    dtype = getattr(value, "dtype", None)
    return isinstance(value, (str, list)) or (isinstance(dtype, np.dtype) and dtype.kind in "OUT")


def _check_text(name: str, value: Any) -> None:
    """Refuse mixed values: where h5ad raises, zarr makes text of them, ``"None"`` of None."""
    items = (
        [value] if isinstance(value, str) else list(_leaves(np.asarray(value).ravel() if _is_array(value) else value))
    )
    kinds = sorted({_kind_of(item) for item in items})
    if isinstance(value, list) and kinds in (["bool"], ["number"]):
        pass
    elif kinds not in ([], ["text"]):
        fix = _TEXT.format(name=name) if _is_array(value) else "Make it numbers alone or text alone."
        raise _refused(name, f"values of type {', '.join(kinds)}", fix)
    if isinstance(value, list):
        _check_shape(name, value)


def _check_shape(name: str, value: list[Any]) -> None:
    try:
        plain = np.array(value).dtype.kind in "biufcU"
    except ValueError:
        plain = False
    if not plain:
        raise _refused(name, "lists of unequal length, or numbers too large", "Keep them apart: a dict of lists.")


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype")


def _leaves(value: Any) -> Iterator[Any]:
    for item in value:
        yield from _leaves(item) if isinstance(item, list) else (item,)


def _kind_of(item: Any) -> str:
    if isinstance(item, str):
        return "text" if (item.isascii() and "\0" not in item) or _encodes(item) else "text that UTF-8 can't hold"
    for kind, types in {"bool": (bool, np.bool_), "number": (int, float, np.number)}.items():
        if isinstance(item, types):
            return kind
    return type(item).__name__


def _encodes(text: str) -> bool:
    try:
        return b"\0" not in text.encode()  # HDF5 ends text there
    except UnicodeEncodeError:
        return False


def _attempt(name: str, value: Any, trial: Try, *, as_well: Any = None) -> None:
    """Write a value, or a small one of the same type, into memory."""
    try:
        trial(value if as_well is None else as_well)
    except Exception as error:
        table = isinstance(value, pd.DataFrame)
        fix = next((fix for kind, fix in _FIXES.items() if isinstance(value, kind)), _TEXT if table else _OTHER)
        kind = ", ".join(sorted({str(dtype) for dtype in value.dtypes})) if table else type(value).__name__
        found = f"a value of type {kind} ({str(error).splitlines()[0][:160]})"
        raise _refused(name, found, fix.format(name=name)) from error


def _refused(name: str, found: str, fix: str, expected: str = "what h5ad and zarr can hold") -> OptionError:
    return OptionError(name, found=found, expected=expected, fix=fix)
