"""The only ways into and out of an AnnData's slots: require() and write(), which also records how."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import PurePath
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData

from ._errors import HistoscribeError, MissingError, OptionError
from ._keys import Keys, Slot, slots, slug
from ._signals import undisturbed

# Numbers in obsm that are no vectors of a spot.
_NO_VECTORS = {"pp.tokenize_genes": "names of genes", "pp.tile": "boxes"}

AnnDatas: TypeAlias = AnnData | Sequence[AnnData]

_log = logging.getLogger("histoscribe")


class Targets:
    """The AnnData objects that a call writes to: one section or a list of them, themselves or copies.

    Parameters
    ----------
    adata
        What the user passed.
    copy
        Whether to work on copies.
    """

    def __init__(self, adata: AnnDatas, *, copy: bool) -> None:
        self._many = not isinstance(adata, AnnData)
        self._copy = copy
        self._adatas = [one.copy() if copy else one for one in each(adata)]

    def __iter__(self) -> Iterator[AnnData]:
        return iter(self._adatas)

    def result(self) -> Any:
        """None in place; else the copy, or the list of copies where a list was passed."""
        if not self._copy:
            return None
        return self._adatas if self._many else self._adatas[0]


def each(adata: AnnDatas, *, field: str = "adata") -> list[AnnData]:
    """List the sections of what the user passed as ``field``, after checking that they can be worked on at all."""
    adatas = list(adata) if isinstance(adata, (list, tuple)) else [adata]
    if not adatas:
        raise OptionError(field, found="an empty list", expected="at least one AnnData", fix="Pass a section.")
    for one in adatas:
        _check(one, field)
    if len({id(one) for one in adatas}) < len(adatas):
        fix = "Pass each section once."
        raise OptionError(field, found="the same AnnData twice", expected="different sections", fix=fix)
    return adatas


def _check(adata: Any, field: str) -> None:
    if not isinstance(adata, AnnData):
        fix = "Convert a SpatialData with hs.io.from_spatialdata(sdata)."
        raise OptionError(field, found=type(adata).__name__, expected="an AnnData or a list of them", fix=fix)
    if adata.n_obs == 0:
        raise OptionError(field, found="0 observations", expected="at least one", fix="Check the filter before this.")
    if adata.isbacked:
        fix = "Load it: adata = adata.to_memory()."
        raise OptionError(field, found="a backed AnnData", expected="one in memory", fix=fix)


def has(adata: AnnData, slot: Slot) -> bool:
    """Whether the slot is filled."""
    return slot in getattr(adata, slot.where)


def require(adata: AnnData, slot: Slot) -> Any:
    """Value of a slot, or an error that names what is there instead and the call that fills it."""
    held = getattr(adata, slot.where)
    if slot not in held:
        raise MissingError(
            f"{slot.where}[{str(slot)!r}]",
            found=f"only {sorted(map(str, held.keys()))}",
            expected=f"{slot.meaning}, {slot.shape}",
            fix=_how_to_fill(slot),
        )
    return held[slot]


def _how_to_fill(slot: Slot) -> str:
    if slot == Keys.SPATIAL:
        return "Put x and y there, in full-resolution pixels, or read the section with hs.io."
    if slot == Keys.LIBRARIES:
        fix = "Read the section with hs.io, or link it: hs.io.link_image(adata, path, mpp=...)."
        return f"{fix} anndata.concat drops it unless you pass uns_merge='unique'."
    if slot.writer.split(",")[0] == "io":
        return "Read the section with hs.io, or link it: hs.io.link_image(adata, path, mpp=...)."
    return f"Run hs.{slot.writer.split(',')[0]}(...) first, or name another slot."


def record(adata: AnnData, slot: Slot) -> Mapping[str, Any]:
    """Say what a slot was made by and of; empty where it came from elsewhere."""
    return adata.uns.get(Keys.RECORD, {}).get(f"{slot.where}.{slot}", {})


def matrix(adata: AnnData, slot: Slot) -> Any:
    """Dense float32 rows of an obsm slot that holds vectors (an array or a DataFrame)."""
    value = require(adata, slot)
    if (by := record(adata, slot).get("by")) in _NO_VECTORS:
        raise OptionError(
            f"{slot.where}[{str(slot)!r}]",
            found=f"what {by} wrote: {_NO_VECTORS[by]}",
            expected="vectors",
            fix="Pass use_rep= or *_rep= naming vectors.",
        )
    rows = np.asarray(value.to_numpy() if isinstance(value, pd.DataFrame) else value)
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise OptionError(
            f"{slot.where}[{str(slot)!r}]",
            found=f"shape {rows.shape}, {rows.dtype}",
            expected="numbers, a row for each observation",
            fix="Pass use_rep= or *_rep= naming vectors.",
        )
    return rows.astype(np.float32, copy=False)


def write(
    adata: AnnData,
    outputs: Mapping[Slot, Any],
    *,
    by: str,
    params: Mapping[str, Any],
    inputs: Sequence[Slot] = (),
    hashes: Mapping[str, str] | None = None,
) -> None:
    """Write finished results and record how they were made; on any failure, Ctrl-C included, leave all as it was.

    Parameters
    ----------
    adata
        Where to write.
    outputs
        Slot → value.
    by
        Public name of the function, such as ``"pp.tile"``.
    params
        Its arguments, defaults filled in.
    inputs
        Slots that were read.
    hashes
        What the result depends on: vocabulary, weights, image.
    """
    for slot in outputs:
        _check_free(slot, by)
    _log_foreign(adata, outputs, by)
    ready = {slot: _fitting(adata, slot, value) for slot, value in outputs.items()}
    entry = {
        "by": by,
        "version": version("histoscribe"),
        "params": plain(params),
        "inputs": [f"{slot.where}.{slot}" for slot in inputs],
        "hashes": plain(hashes or {}),
    }
    records = {**adata.uns.get(Keys.RECORD, {}), **{f"{slot.where}.{slug(slot)}": deepcopy(entry) for slot in ready}}
    changes = [(slot.where, slug(slot), value) for slot, value in ready.items()]
    changes.append((Keys.RECORD.where, str(Keys.RECORD), records))
    undisturbed(lambda: _all_or_nothing(adata, changes))


def _check_free(slot: Slot, by: str) -> None:
    """Refuse a ``key_added`` that would overwrite what another function writes, positions or sections most of all."""
    if not by.startswith(("pp.", "tl.")):
        return  # readers fill the slots that the others read
    for known in slots():
        if known == slot and not any(f"{by}.".startswith(f"{writer}.") for writer in known.writer.split(", ")):
            found = f"the slot that {known.writer} writes ({known.meaning})"
            raise OptionError(
                "key_added", found=f"{str(slot)!r}, {found}", expected="a name of its own", fix="Choose another."
            )


def _log_foreign(adata: AnnData, outputs: Iterable[Slot], by: str) -> None:
    """Say which slots held what histoscribe did not write: they are replaced, as scanpy does."""
    known = adata.uns.get(Keys.RECORD, {})
    foreign = [f"{slot.where}[{slug(slot)!r}]" for slot in outputs if _is_foreign(adata, slot, known)]
    if foreign and by.startswith(("pp.", "tl.")):
        _log.warning("%s replaces %s, which histoscribe did not write", by, ", ".join(foreign))


def _is_foreign(adata: AnnData, slot: Slot, known: Mapping[str, Any]) -> bool:
    shared = slot in (Keys.LIBRARIES, Keys.SPATIAL)  # added to, or moved with a copy kept
    return not shared and slug(slot) in getattr(adata, slot.where) and f"{slot.where}.{slug(slot)}" not in known


def _all_or_nothing(adata: AnnData, changes: list[tuple[str, str, Any]]) -> None:
    before = [(where, key, getattr(adata, where).get(key)) for where, key, _ in changes]
    try:
        for where, key, value in changes:
            getattr(adata, where)[key] = value
    except BaseException:
        for where, key, value in before:
            held = getattr(adata, where)
            if value is not None:
                held[key] = value
            elif key in held:
                del held[key]
        raise


def _fitting(adata: AnnData, slot: Slot, value: Any) -> Any:
    """Return the value with the rows, index and column names that AnnData, h5ad and zarr need."""
    if slot.where in ("uns", "varm", "var"):
        return value
    n_rows = value.shape[0] if hasattr(value, "shape") else len(value)  # sparse matrices have no len()
    if n_rows != adata.n_obs:  # a fault of ours: better loud than shifted rows
        raise HistoscribeError(
            f"{slot.where}[{str(slot)!r}]",
            found=f"{n_rows} rows",
            expected=f"{adata.n_obs}",
            fix="Please report this.",
        )
    if isinstance(value, pd.DataFrame):
        value = value.set_axis([slug(c) for c in value.columns], axis=1).set_axis(adata.obs_names, axis=0)
    return value


def plain(value: Any) -> Any:
    """Turn a value into what uns, h5ad and zarr can hold: numbers, strings, None, lists and dicts of them."""
    if is_dataclass(value) and not isinstance(value, type):
        said = {f.name: getattr(value, f.name) for f in fields(value) if f.metadata.get("recorded", True)}
        value = {"name": type(value).__name__, **said}
    if isinstance(value, Mapping):
        return {slug(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, (list, tuple, set, frozenset)):
        items = [plain(v) for v in (sorted(value, key=str) if isinstance(value, (set, frozenset)) else value)]
        return items if len({type(v) for v in items}) < 2 else [str(v) for v in items]
    if value is None or type(value) in (bool, int, float, str):
        return value
    return str(value) if isinstance(value, (str, PurePath)) else repr(value)
