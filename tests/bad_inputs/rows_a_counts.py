"""Rows A1 to A5: values that are no counts."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import CountsError

from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import halved
from .tries import COUNTS, LEARNING, registration

_KEEP = r"Keep the raw counts in adata.layers\['counts'\], or name their layer with layer="
# Without layer=, a registration goes on without counts and says so.
_READING: Mapping[str, Try] = {**COUNTS, **LEARNING}
_NAMED: Mapping[str, Try] = {**_READING, "pp.check_registration layer=": partial(registration, layer="counts")}


def _with(counts: Any) -> AnnData:
    adata = halved()
    adata.layers["counts"] = counts
    return adata


def _counts() -> np.ndarray:
    return np.asarray(halved().layers["counts"].toarray())


def _x_alone(change: Callable[[AnnData], object]) -> Callable[[], AnnData]:
    """Without a layer of counts, X as ``change`` leaves it."""

    def build() -> AnnData:
        adata = halved()
        adata.layers["mine"] = adata.layers.pop("counts")
        adata.X = adata.X.astype(np.float32)
        change(adata)
        return adata

    return build


def _changed(row: int, column: int, value: float) -> Callable[[], AnnData]:
    def build() -> AnnData:
        counts = _counts().astype(float)
        counts[row, column] = value
        return _with(sp.csr_matrix(counts))

    return build


def _cp10k(adata: AnnData) -> None:
    sc.pp.normalize_total(adata, target_sum=1e4)


def _logged(adata: AnnData) -> None:
    _cp10k(adata)
    sc.pp.log1p(adata)


def _logged_twice(adata: AnnData) -> None:
    _logged(adata)
    _logged(adata)


def _no_counts_said(adata: AnnData, returned: Any) -> None:
    scores = returned.loc[returned["check"] == "shift", "advice"].item()
    assert "no counts (x" in scores.lower()


_REFUSED_X = {
    "normalised to 10,000": (_cp10k, r"sum to 1e\+04 in every spot"),
    "log-normalised": (_logged, "look log-normalised"),
    "normalised and logged twice": (_logged_twice, "look log-normalised"),
    "a product of no meaning": (lambda a: setattr(a, "X", a.X * 7.3), "nobody calls counts"),
}


def _values() -> list[Row | Elsewhere]:
    """A1 to A5: values that are no counts."""
    rows: list[Row | Elsewhere] = []
    for given, (change, found) in _REFUSED_X.items():
        row_id = "A3" if "twice" in given else "A2" if "log" in given else "A1"
        result = Raises(CountsError, "^X$", rf"{_KEEP} \(layers: \['mine'\]\)", found)
        rows.append(Row(row_id, f"X alone, {given}", _x_alone(change), _READING, result))
    result = Raises(CountsError, "^X$", _KEEP, "nothing")
    rows.append(Row("A1", "no X and no layer of counts", _x_alone(lambda a: setattr(a, "X", None)), _READING, result))
    for given, values in {"log1p of counts per 10,000": _log_layer, "counts per 10,000": _cp10k_layer}.items():
        result = Raises(CountsError, r"layers\['counts'\]", _KEEP, "log-normalised|in every spot")
        rows.append(Row("A2", f"layers['counts'] holds {given}", values, _NAMED, result))
    said = Defined("a table that says that there are no counts", _no_counts_said)
    tried: dict[str, Try] = {"pp.check_registration": hs.pp.check_registration}
    rows.append(Row("A2", "X alone, log-normalised", _x_alone(_logged), tried, said))
    first = "1 negative values, first at toy_1_0007, TOY0003: -2"
    result = Raises(CountsError, "counts", _KEEP, first)
    rows.append(Row("A4", "a negative count", _changed(7, 3, -2), _NAMED, result))
    for bad in (np.nan, np.inf):
        result = Raises(CountsError, "counts", _KEEP, "1 NaN or infinite values, first at toy_1_0059, TOY0199")
        rows.append(Row("A5", f"a count is {bad}", _changed(59, 199, bad), _NAMED, result))
    return rows


def _log_layer() -> AnnData:
    adata = halved()
    adata.X = adata.X.astype(np.float32)
    _logged(adata)
    return _with(adata.X)


def _cp10k_layer() -> AnnData:
    adata = halved()
    adata.X = adata.X.astype(np.float32)
    _cp10k(adata)
    return _with(adata.X)


ROWS: list[Row | Elsewhere] = _values()
