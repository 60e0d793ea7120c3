"""Raw counts of an AnnData: found, checked, never guessed."""

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from ._errors import CountsError, GenesError
from ._keys import Keys

_AT_ONCE = 1 << 16  # values checked at a time: they stay in the cache


def raw_counts(adata: AnnData, layer: str | None = None) -> sp.csr_matrix:
    """Return the counts as CSR, from ``layer``, else ``layers["counts"]``, else ``X`` if that holds counts.

    Raises
    ------
    CountsError
        The matrix is missing, negative, not finite or log-normalised.
    GenesError
        Gene names are not unique, or there are no genes.
    """
    name, values = _find(adata, layer)
    _check_genes(adata)
    if sp.issparse(values) and values.format == "coo":
        raise CountsError(name, found="a COO matrix", expected="csr or csc", fix="Convert it: .tocsr().")
    if values.dtype == np.float16:  # sums overflow at 65,504
        raise CountsError(name, found="float16", expected="a type whose sums do not overflow", fix="Use float32.")
    counts = sp.csr_matrix(values)  # shares the arrays of what is csr already
    _check_values(adata, name, counts.data)
    if not counts.has_canonical_format:  # a gene twice in a row counts as its sum
        counts = counts.copy()
        counts.sum_duplicates()
    return counts


def _find(adata: AnnData, layer: str | None) -> tuple[str, Any]:
    if layer is not None and layer not in adata.layers:
        fix = "Name one of these, or leave layer= out."
        raise CountsError(f"layers[{layer!r}]", found=f"only {list(adata.layers)}", expected="raw counts", fix=fix)
    if layer is None and Keys.COUNTS in adata.layers:
        layer = str(Keys.COUNTS)
    return (f"layers[{layer!r}]", adata.layers[layer]) if layer is not None else ("X", adata.X)


def _check_genes(adata: AnnData) -> None:
    if adata.n_vars == 0:
        raise GenesError("adata", found="0 genes", expected="at least one", fix="A bare slide has no genes to read.")
    names = adata.var_names
    if not names.is_unique:
        twice = list(names[names.duplicated()].unique()[:5])
        fix = "Run adata.var_names_make_unique()."
        raise GenesError("var_names", found=f"duplicates such as {twice}", expected="unique gene names", fix=fix)


def _check_values(adata: AnnData, name: str, values: np.ndarray) -> None:
    fix = "Keep the raw counts in adata.layers['counts'], or name their layer with layer=."
    low, high, whole = _extent(values)
    if not np.isfinite([low, high]).all():
        bad = sum(int((~np.isfinite(block)).sum()) for block in _blocks(values))
        raise CountsError(name, found=f"{bad} NaN or infinite values", expected="counts", fix=fix)
    if low < 0:
        raise CountsError(name, found=f"negative values (down to {low:.3g})", expected="counts", fix=fix)
    if whole:
        return
    if "log1p" in adata.uns or high < 20:
        found = "fractions that look log-normalised"
        raise CountsError(name, found=found, expected="raw counts", fix=f"{fix} (layers: {list(adata.layers)})")
    warnings.warn(f"{name} holds fractions; they are used as counts (ambient-corrected?)", UserWarning, stacklevel=3)


def _extent(values: np.ndarray) -> tuple[float, float, bool]:
    """Smallest and largest value (NaN if there is one), and whether all are whole numbers; without a copy of them."""
    lows, highs, whole = [0.0], [0.0], True
    for block in _blocks(values):
        lows.append(float(block.min()))
        highs.append(float(block.max()))
        whole = whole and (block.dtype.kind in "uib" or bool((block == np.rint(block)).all()))
    return float(np.min(lows)), float(np.max(highs)), whole


def _blocks(values: np.ndarray) -> Iterator[np.ndarray]:
    return (values[start : start + _AT_ONCE] for start in range(0, values.size, _AT_ONCE))
