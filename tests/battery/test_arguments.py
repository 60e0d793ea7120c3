"""Arguments are read, never changed; read-only arrays and arrays in any order of memory do as well."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from ..digest import digest
from . import material
from .applied import applied, every
from .call import Call
from .outcome import apart, outcome_of, usual

_TOLERANCE = 1e-6  # of the spread: sums in another order


def _takes_more_than_text(call: Call) -> bool:
    return not call.needs_data


def _told(value: Any) -> str:
    """Content of an argument."""
    if isinstance(value, dict):
        return str({key: _told(one) for key, one in value.items()})
    if isinstance(value, list | tuple):
        return str([_told(one) for one in value])
    return str(value.sha256) if hasattr(value, "sha256") and not callable(value.sha256) else digest(value)


@applied("arguments", _takes_more_than_text, quick=every)
def test_arguments_stay_as_they_are(call: Call) -> None:
    given = call.arguments(material.section())
    kept = {name: value for name, value in given.items() if not (call.writes and name == call.section)}
    before = _told(kept)
    call.function(**given)
    assert _told(kept) == before


def _mapped(value: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """The value with all arrays in it changed."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return change(value)
    if isinstance(value, AnnData):
        for key in value.obsm:
            value.obsm[key] = _mapped(value.obsm[key], change)
        for key in list(value.uns):
            value.uns[key] = _mapped(value.uns[key], change)
        return value
    if isinstance(value, pd.DataFrame | str):
        return value
    if type(value) is dict:
        return {key: _mapped(one, change) for key, one in value.items()}
    return [_mapped(one, change) for one in value] if type(value) is list else value


def _frozen(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def _strided(array: np.ndarray) -> np.ndarray:
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def _has_arrays(value: Any) -> bool:
    """Whether any is changed below; others are text, paths and numbers alone."""
    found = []

    def keep(array: np.ndarray) -> np.ndarray:
        found.append(array)
        return array

    _mapped(value, keep)
    return bool(found)


def _compare(call: Call, *changes: Callable[[np.ndarray], np.ndarray]) -> None:
    if not _has_arrays(call.arguments(material.section())):
        return
    for change in changes:
        adata = material.section()
        for part in (adata.X, adata.layers["counts"]):
            part.data, part.indices, part.indptr = (_frozen(v) for v in (part.data, part.indices, part.indptr))
        given = _mapped(call.arguments(adata), change)
        one = apart(outcome_of(call, adata, call.function(**given)), usual(call))
        assert one.relative < _TOLERANCE, (change.__name__, one)


@applied("read-only", _takes_more_than_text)
def test_read_only_arrays_do(call: Call) -> None:
    _compare(call, _frozen)


@applied("order of memory", _takes_more_than_text)
def test_order_of_memory_does_not_matter(call: Call) -> None:
    _compare(call, np.asfortranarray, _strided)
