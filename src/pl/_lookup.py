"""What to colour by: a name is an obs column, a gene or a column of an obsm table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from natsort import natsorted
from numpy.typing import NDArray

from .._errors import GenesError, MissingError, OptionError

Values: TypeAlias = NDArray[np.float64] | pd.Categorical

_OBS, _GENE, _OBSM = "obs:", "gene:", "obsm:"
# p-values bear the names of their scores; an ambiguity with every pathway would help nobody
_BY_FULL_NAME_ONLY = ("padj_",)


@dataclass(frozen=True)
class Variable:
    """Values to colour by.

    Attributes
    ----------
    name
        As the figure says it.
    source
        Full name, such as ``"obsm:score_hallmark/HYPOXIA"``.
    detail
        Unit, layer or table, as the colour bar says it.
    per_adata
        Values of each AnnData: numbers, NaN where there is none, or categories.
    """

    name: str
    source: str
    detail: str
    per_adata: list[Values]

    @property
    def obs_key(self) -> str | None:
        """Column of obs that it is, if it is one."""
        return self.source.removeprefix(_OBS) if self.source.startswith(_OBS) else None

    @property
    def is_categorical(self) -> bool:
        """Whether these are categories."""
        return isinstance(self.per_adata[0], pd.Categorical)


def lookup(adatas: Sequence[AnnData], name: str, *, layer: str | None = None) -> Variable:
    """Find what a name means, the same in all AnnData.

    Raises
    ------
    MissingError
        Nothing bears this name; the message lists near ones.
    OptionError
        Several things bear it; the message says how to write each.
    """
    if not isinstance(name, str):
        raise OptionError("color", found=repr(name), expected="a name", fix="Pass a name or a list of names.")
    per_adata = [list(_places(adata, name)) for adata in adatas]
    shared = [place for place in per_adata[0] if all(place in places for places in per_adata)]
    if not shared:
        raise _missing(adatas, name, per_adata)
    if len(shared) > 1:
        fix = f"Write one of: {', '.join(repr(place) for place in shared)}."
        raise OptionError(f"color {name!r}", found=f"{len(shared)} things of this name", expected="one", fix=fix)
    source = shared[0]
    values = [_values(adata, source, layer) for adata in adatas]
    if len({isinstance(value, pd.Categorical) for value in values}) > 1:
        fix = "Make it the same type in all sections."
        raise OptionError(source, found="categories in some sections, numbers in others", expected="one type", fix=fix)
    return Variable(_shown(source), source, _detail(source, layer), values)


def _places(adata: AnnData, name: str) -> Iterator[str]:
    """Full names of all that a name may mean."""
    full = any(name.startswith(prefix) for prefix in (_OBS, _GENE, _OBSM))
    if name in adata.obs:
        yield f"{_OBS}{name}"
    if name in adata.var_names:
        yield f"{_GENE}{name}"
    for key, table in adata.obsm.items():
        if isinstance(table, pd.DataFrame) and name in table and not key.startswith(_BY_FULL_NAME_ONLY):
            yield f"{_OBSM}{key}/{name}"
    if full and _exists(adata, name):
        yield name


def _exists(adata: AnnData, full: str) -> bool:
    kind, _, name = full.partition(":")
    if f"{kind}:" == _OBS:
        return name in adata.obs
    if f"{kind}:" == _GENE:
        return name in adata.var_names
    key, _, column = name.partition("/")
    table = adata.obsm.get(key)
    if isinstance(table, pd.DataFrame):
        return column in table
    return table is not None and column.isdigit() and table.ndim == 2 and int(column) < table.shape[1]


def _values(adata: AnnData, source: str, layer: str | None) -> Values:
    kind, _, name = source.partition(":")
    if f"{kind}:" == _OBS:
        return _column(adata.obs[name], source)
    if f"{kind}:" == _GENE:
        return _gene(adata, name, layer)
    key, _, column = name.partition("/")
    table = adata.obsm[key]
    if isinstance(table, pd.DataFrame):
        return _column(table[column], source)
    return _dense(table[:, int(column)])


def _column(column: pd.Series, source: str) -> Values:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.Categorical(column)
    if pd.api.types.is_bool_dtype(column.dtype):
        return pd.Categorical(column.astype("object"), categories=[False, True])
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
        names = column.where(column.isna(), column.astype(str))
        return pd.Categorical(names, categories=natsorted(names.dropna().unique()))  # as AnnData will, on writing
    fix = "Convert it to numbers or categories."
    raise OptionError(source, found=f"values of type {column.dtype}", expected="numbers or categories", fix=fix)


def _gene(adata: AnnData, gene: str, layer: str | None) -> NDArray[np.float64]:
    if layer is not None and layer not in adata.layers:
        fix = "Name one of these, or leave layer= out for X."
        raise MissingError(f"layers[{layer!r}]", found=f"only {list(adata.layers)}", expected="expression", fix=fix)
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        fix = f"Name a layer: one of {list(adata.layers)}."
        raise MissingError("X", found="nothing", expected="expression", fix=fix)
    column = adata.var_names.get_loc(gene)
    if not isinstance(column, int):
        fix = "Run adata.var_names_make_unique()."
        raise GenesError("var_names", found=f"{gene!r} more than once", expected="unique gene names", fix=fix)
    return _dense(matrix[:, [column]])


def _dense(values: Any) -> NDArray[np.float64]:
    return np.asarray(values.toarray() if sp.issparse(values) else values, dtype=np.float64).ravel()


def _shown(source: str) -> str:
    name = source.partition(":")[2]
    if not source.startswith(_OBSM):
        return name
    key, _, column = name.partition("/")
    return f"{key} {column}" if column.isdigit() else column


def _detail(source: str, layer: str | None) -> str:
    if source.startswith(_GENE):
        return layer or ""
    if source.startswith(_OBSM):
        return source.removeprefix(_OBSM).partition("/")[0]
    return "µm" if source.endswith("_um") else ""


def _missing(adatas: Sequence[AnnData], name: str, per_adata: list[list[str]]) -> MissingError:
    having = sum(bool(places) for places in per_adata)
    if having:
        return MissingError(
            f"color {name!r}",
            found=f"in {having} of {len(adatas)} AnnData, or not the same in all",
            expected="the same column, gene or table in each",
            fix="Leave out the sections without it.",
        )
    near = _near(name, adatas[0])
    fix = f"Did you mean {', '.join(map(repr, near))}?" if near else f"Columns of obs: {list(adatas[0].obs)}."
    expected = "an obs column, a gene of var_names, or a column of an obsm table"
    return MissingError(f"color {name!r}", found="nothing of this name", expected=expected, fix=fix)


def _near(name: str, adata: AnnData) -> list[str]:
    known = [*map(str, adata.obs), *map(str, adata.var_names)]
    for table in adata.obsm.values():
        known += map(str, table.columns) if isinstance(table, pd.DataFrame) else []
    bare = name.rpartition("/")[2].rpartition(":")[2].lower()
    by_lower = {one.lower(): one for one in known}
    inside = [one for lower, one in by_lower.items() if bare and bare in lower]
    alike = [by_lower[lower] for lower in get_close_matches(bare, by_lower, n=5, cutoff=0.7)]
    return list(dict.fromkeys([*alike, *inside]))[:5]
