"""What a call did, as plain arrays and text by name, and how far two such outcomes lie apart."""

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from typing import Any, TypeAlias

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import histoscribe as hs

from . import material
from .call import Call

Outcome: TypeAlias = dict[str, np.ndarray | str]

_BY_SPOT = ("obs", "obsm", "obsp")


@dataclass(frozen=True)
class Apart:
    """How far two outcomes lie apart."""

    absolute: float
    relative: float
    where: str


def outcome(call: Call, adata: AnnData, **options: Any) -> Outcome:
    """Call on a section and return what was written to it and what was returned."""
    returned = call(adata, **options)
    return outcome_of(call, adata, returned)


@cache
def usual(call: Call) -> Outcome:
    """Outcome on the section as it is: not to be changed."""
    return outcome(call, material.section())


def outcome_of(call: Call, adata: AnnData, returned: Any) -> Outcome:
    """What a call that returned this has done."""
    found = dict(
        _leaves("returned", hs.io.read(material.folder() / "written.h5ad") if call.name == "io.write" else returned)
    )
    return found | (written(call, adata) if call.section is not None else {})


def essence(call: Call, adata: AnnData) -> Outcome:
    """What of the outcome must not depend on the order of spots and genes."""
    returned = call(adata)
    if call.invariant is None:
        return outcome_of(call, adata, returned)
    return dict(_leaves("invariant", call.invariant(adata, returned)))


@cache
def usual_essence(call: Call) -> Outcome:
    """The same of the section as it is: not to be changed."""
    return essence(call, material.section())


def written(call: Call, adata: AnnData) -> Outcome:
    """Slots that the record says a function wrote, and colours that a plot kept."""
    found: Outcome = {}
    for slot, entry in adata.uns.get("histoscribe", {}).items():
        if entry["by"] == call.name:
            where, _, key = slot.partition(".")
            found |= dict(_leaves(slot, getattr(adata, where)[key]))
    for key in adata.uns:
        if key.endswith("_colors"):
            found |= dict(_leaves(f"uns.{key}", list(adata.uns[key])))
    return found


def rows_of(found: Outcome, order: np.ndarray) -> Outcome:
    """The outcome for spots in another order."""
    return {name: _rows(name, value, order) for name, value in found.items()}


def _rows(name: str, value: np.ndarray | str, order: np.ndarray) -> np.ndarray | str:
    if isinstance(value, str) or name.split(".")[0] not in _BY_SPOT:
        return value
    return value[order][:, order] if name.startswith("obsp.") else value[order]


def _leaves(name: str, value: Any) -> Iterator[tuple[str, np.ndarray | str]]:
    if isinstance(value, Axes | Figure):
        yield f"{name}.pixels", drawn(value)
    elif isinstance(value, AnnData):
        parts = {part: dict(getattr(value, part)) for part in ("obsm", "obsp", "layers", "uns")}
        yield from _leaves(name, {"X": value.X, "obs": value.obs, "var": value.var, **parts})
    elif isinstance(value, pd.DataFrame):
        yield f"{name}.index", np.array([str(i) for i in value.index])
        for column in value:
            yield from _leaves(f"{name}.{column}", value[column])
    elif isinstance(value, pd.Series | pd.Categorical | pd.Index):
        yield from _column(name, pd.Series(np.asarray(value)))
    elif sp.issparse(value):
        yield name, value.toarray()
    elif hasattr(value, "compute"):
        yield name, np.asarray(value.compute())
    elif hasattr(value, "state_dict"):
        yield from _leaves(name, {key: t.numpy() for key, t in value.state_dict().items()})
    elif is_dataclass(value) and not isinstance(value, type):
        yield from _leaves(name, {f.name: getattr(value, f.name) for f in fields(value)})
    elif isinstance(value, Mapping):
        for key in value:
            yield from _leaves(f"{name}.{key}", value[key])
    else:
        yield from _plain(name, value)


def _plain(name: str, value: Any) -> Iterator[tuple[str, np.ndarray | str]]:
    if hasattr(value, "thumbnail"):
        yield name, value.thumbnail(200)[0]
    elif hasattr(value, "tables"):
        yield from _leaves(
            name, {**value.tables, "points": [str(g) for s in value.shapes.values() for g in s.geometry]}
        )
    elif isinstance(value, list | tuple) and any(isinstance(v, np.ndarray | dict | list | tuple) for v in value):
        for k, item in enumerate(value):
            yield from _leaves(f"{name}.{k}", item)
    elif isinstance(value, bool | int | float | np.generic | np.ndarray | list | tuple):
        yield from _column(name, np.asarray(value))
    elif callable(value) and hasattr(value, "sha256"):
        yield name, value.sha256
    else:
        yield name, str(value)


def _column(name: str, value: Any) -> Iterator[tuple[str, np.ndarray | str]]:
    array = np.asarray(value)
    if array.dtype.kind in "biufc":
        yield name, array
    else:
        yield name, np.array([str(v) for v in array.ravel()])


def drawn(what: Axes | Figure) -> np.ndarray:
    """Pixels of a figure, which is closed."""
    figure = what if isinstance(what, Figure) else what.get_figure(root=True)
    assert figure is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure.canvas.draw()
    pixels = np.asarray(figure.canvas.buffer_rgba()).copy()  # type: ignore[attr-defined]
    plt.close(figure)
    return pixels


def apart(found: Outcome, wanted: Outcome) -> Apart:
    """Largest difference of two outcomes; infinite where text, shapes or missing values differ."""
    if set(found) != set(wanted):
        return Apart(np.inf, np.inf, f"only one has {sorted(set(found) ^ set(wanted))}")
    worst = Apart(0.0, 0.0, "")
    for name, value in wanted.items():
        one = _difference(name, found[name], value)
        worst = max(worst, one, key=lambda a: (a.relative, a.absolute))
    return worst


def _difference(name: str, found: Any, wanted: Any) -> Apart:
    never = Apart(np.inf, np.inf, f"{name}: {str(found)[:150]} is not {str(wanted)[:150]}")
    if isinstance(found, str) or isinstance(wanted, str) or found.dtype.kind not in "biufc":
        return Apart(0.0, 0.0, "") if np.array_equal(found, wanted) else never
    if found.shape != wanted.shape:
        return never
    if np.array_equal(found, wanted, equal_nan=found.dtype.kind in "fc" and wanted.dtype.kind in "fc"):
        return Apart(0.0, 0.0, "")
    a, b = found.astype(np.float64), wanted.astype(np.float64)
    ok = np.isfinite(b)
    if not np.array_equal(ok, np.isfinite(a)) or not np.array_equal(a[~ok], b[~ok], equal_nan=True):
        return never
    largest = float(np.abs(a - b)[ok].max())
    spread = float(b[ok].std()) or max(float(np.abs(b[ok]).max()), 1e-300)
    return Apart(largest, largest / spread, f"{name}: by {largest:.3g}, spread {spread:.3g}")
