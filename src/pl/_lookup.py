"""What to colour by: a name is an obs column, a gene or a column of an obsm table."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from natsort import natsorted
from numpy.typing import NDArray

from .._counts import layer_names
from .._errors import GenesError, MissingError, OptionError
from .._keys import Keys
from ._suggest import BY_FULL_NAME_ONLY, missing

Values: TypeAlias = NDArray[np.float64] | pd.Categorical

_OBS, _GENE, _OBSM = "obs:", "gene:", "obsm:"
_FIRST = 100  # rows that tell counts from anything else


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
        raise missing(adatas, name, having=sum(bool(places) for places in per_adata))
    if len(shared) > 1:
        fix = f"Write one of: {', '.join(repr(place) for place in shared)}."
        raise OptionError(f"color {name!r}", found=f"{len(shared)} things of this name", expected="one", fix=fix)
    source = shared[0]
    values = [_values(adata, source, layer) for adata in adatas]
    if len({isinstance(value, pd.Categorical) for value in values}) > 1:
        fix = "Make it the same type in all sections."
        raise OptionError(source, found="categories in some sections, numbers in others", expected="one type", fix=fix)
    return Variable(_shown(source), source, _detail(adatas, source, layer), values)


def _places(adata: AnnData, name: str) -> Iterator[str]:
    """Full names of all that a name may mean."""
    full = any(name.startswith(prefix) for prefix in (_OBS, _GENE, _OBSM))
    if name in adata.obs:
        yield f"{_OBS}{name}"
    if name in adata.var_names:
        yield f"{_GENE}{name}"
    for key, table in adata.obsm.items():
        if isinstance(table, pd.DataFrame) and name in table and not key.startswith(BY_FULL_NAME_ONLY):
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
        raise MissingError(f"layers[{layer!r}]", found=f"only {layer_names(adata)}", expected="expression", fix=fix)
    matrix = adata.X if layer is None else adata.layers[layer]
    if matrix is None:
        fix = f"Name a layer: one of {layer_names(adata)}."
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


def _detail(adatas: Sequence[AnnData], source: str, layer: str | None) -> str:
    if source.startswith(_GENE):
        return layer or (str(Keys.COUNTS) if all(_holds_counts(adata.X) for adata in adatas) else "X")
    if source.startswith(_OBSM):
        return source.removeprefix(_OBSM).partition("/")[0]
    return "µm" if source.endswith("_um") else ""


def _holds_counts(matrix: Any) -> bool:
    """Whether the first rows are whole numbers, not negative and not all 0."""
    first = matrix[:_FIRST]
    values = first.data if sp.issparse(first) else np.asarray(first)
    return bool((values > 0).any() and (values >= 0).all() and (values == np.round(values)).all())
