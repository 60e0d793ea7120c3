"""Raw counts of an AnnData: found, checked, never guessed."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from ._errors import CountsError, GenesError
from ._keys import Keys
from ._warn import warn

_AT_ONCE = 1 << 16  # values checked at a time: they stay in the cache
_SHOWN = 3
_LOGGED = 20  # log1p of counts per 10,000 stays below 9.3
_SAME_TOTAL = 1e-3


def raw_counts(adata: AnnData, layer: str | None = None, fractions: "Fractions | None" = None) -> sp.csr_matrix:
    """Return the counts as CSR, from ``layer``, else ``layers["counts"]``, else ``X`` if that holds counts.

    Fractions in a layer that is said to hold counts (ambient-corrected ones) are used with a warning; in ``X`` they
    are an error. Where ``adata`` is a block of a section's rows, pass ``fractions``: they can be judged only when all
    blocks were seen, by :meth:`Fractions.judge`.

    Raises
    ------
    CountsError
        The matrix is missing, broken, negative, not finite, normalised or log-normalised.
    GenesError
        Gene names are not unique, or there are no genes.
    """
    name, values = _find(adata, layer)
    check_genes(adata)
    counts = _as_csr(adata, name, values)
    seen = fractions or Fractions()
    seen.add(counts, _check_values(adata, name, counts), totals=fractions is not None)
    if fractions is None:
        seen.judge(adata, name)
    if not counts.has_canonical_format:  # a gene twice in a row counts as its sum
        counts = counts.copy()
        counts.sum_duplicates()
    return counts


def layer_names(adata: AnnData) -> list[str]:
    """Name the layers; from anndata 0.13 on ``adata.layers`` also lists ``X``, under None."""
    return [name for name in adata.layers if name is not None]


def named_layers(adata: AnnData) -> dict[str, Any]:
    """Layers by name, without ``X``."""
    return {name: adata.layers[name] for name in layer_names(adata)}


def has_genes(adata: AnnData) -> bool:
    """Whether a section has values of genes, of whatever kind; a bare slide has none."""
    return adata.n_vars > 0 and (adata.X is not None or len(layer_names(adata)) > 0)


def _find(adata: AnnData, layer: str | None) -> tuple[str, Any]:
    layer = counts_layer(layer_names(adata), layer)
    return (f"layers[{layer!r}]", adata.layers[layer]) if layer is not None else ("X", adata.X)


def counts_layer(layers: Sequence[str], layer: str | None) -> str | None:
    """Name the layer of those that are there that holds the counts; None where they are in ``X``."""
    if layer is not None and layer not in layers:
        fix = "Name one of these, or leave layer= out."
        raise CountsError(f"layers[{layer!r}]", found=f"only {list(layers)}", expected="raw counts", fix=fix)
    return str(Keys.COUNTS) if layer is None and Keys.COUNTS in layers else layer


def check_genes(adata: AnnData) -> None:
    """Refuse a section without genes, or with one name for several."""
    if adata.n_vars == 0:
        raise GenesError("adata", found="0 genes", expected="at least one", fix="A bare slide has no genes to read.")
    names = adata.var_names
    if not names.is_unique:
        twice = list(names[names.duplicated()].unique()[:5])
        fix = "Sum these columns if they measure one gene, else run adata.var_names_make_unique()."
        raise GenesError("var_names", found=f"duplicates such as {twice}", expected="unique gene names", fix=fix)


def _as_csr(adata: AnnData, name: str, values: Any) -> sp.csr_matrix:
    """Return the matrix as CSR; what is CSR already is shared, booleans are read as bytes."""
    expected = "numbers in a csr or csc matrix or a numpy array"
    if values is None:
        raise CountsError(name, found="nothing", expected=expected, fix=_keep(adata))
    if isinstance(values, np.ma.MaskedArray) or not (isinstance(values, np.ndarray) or sp.issparse(values)):
        kind = f"{type(values).__module__.partition('.')[0]} {type(values).__name__}"
        fix = f"Load it: adata.{name} = adata.{name}.compute() for dask, .filled(0) for a masked array."
        raise CountsError(name, found=f"a {kind}", expected=expected, fix=fix)
    if sp.issparse(values) and values.format not in ("csr", "csc"):
        fix = f"Convert it: adata.{name} = adata.{name}.tocsr()."
        raise CountsError(name, found=f"a {values.format.upper()} matrix", expected="csr or csc", fix=fix)
    if values.dtype == np.float16:  # sums overflow at 65,504
        raise CountsError(name, found="float16", expected="a type whose sums do not overflow", fix="Use float32.")
    if values.dtype.kind not in "uifb" or values.dtype.itemsize > 8:
        fix = f"Convert it: adata.{name} = adata.{name}.astype('float32')."
        raise CountsError(name, found=f"values of type {values.dtype}", expected=expected, fix=fix)
    counts = sp.csr_matrix(values)
    _check_indices(name, counts)
    if counts.dtype == np.bool_:  # True + True is True
        counts = sp.csr_matrix((counts.data.view(np.uint8), counts.indices, counts.indptr), shape=counts.shape)
    return counts


def _check_indices(name: str, counts: sp.csr_matrix) -> None:
    """Refuse a matrix whose indices lead outside it: 32-bit ones wrap above 2^31 values, and compiled loops don't look."""
    starts, columns = counts.indptr, counts.indices
    inside = not columns.size or (columns.min() >= 0 and columns.max() < counts.shape[1])
    if not inside or (np.diff(starts) < 0).any():
        found = "row starts that go back" if inside else "columns outside the matrix"
        fix = "Read the file again, with 64-bit indices where it has more than 2^31 values."
        raise CountsError(name, found=f"a broken sparse matrix, with {found}", expected="a whole one", fix=fix)


def _check_values(adata: AnnData, name: str, counts: sp.csr_matrix) -> tuple[float, bool]:
    """Return the largest value, and whether all are whole."""
    low, high, whole = _extent(counts.data)
    if not np.isfinite([low, high]).all():
        found = _first(adata, counts, lambda block: ~np.isfinite(block), "NaN or infinite values")
        raise CountsError(name, found=found, expected="counts", fix=_keep(adata))
    if low < 0:
        found = f"{_first(adata, counts, lambda block: block < 0, 'negative values')} (down to {low:.3g})"
        raise CountsError(name, found=found, expected="counts", fix=_keep(adata))
    return high, whole


class Fractions:
    """What tells corrected counts from normalised values, gathered over all rows of a section."""

    def __init__(self) -> None:
        self.high, self.whole = 0.0, True
        self.totals: list[float] = []  # the smallest and the largest of a spot with counts

    def add(self, counts: sp.csr_matrix, seen: tuple[float, bool], *, totals: bool) -> None:
        """Take up a block of rows, with its largest value and whether all are whole."""
        self.high, self.whole = max(self.high, seen[0]), self.whole and seen[1]
        if totals or not self.whole:
            found = np.concatenate([self.totals, np.asarray(counts.sum(axis=1)).ravel()])
            found = found[found > 0]
            self.totals = found.tolist() if len(found) < 2 else [float(found.min()), float(found.max())]

    def judge(self, adata: AnnData, name: str) -> None:
        """Refuse what looks normalised, and warn of other fractions."""
        if self.whole:
            return
        kind = self._kind(adata, name)
        if kind is not None:
            raise CountsError(name, found=f"fractions {kind}", expected="raw counts", fix=_keep(adata))
        msg = f"{name} holds fractions; they are used as counts (ambient-corrected?)"
        warn(msg)

    def _kind(self, adata: AnnData, name: str) -> str | None:
        """Say what fractions must be if they are no counts; None for those that may be corrected counts."""
        if self.high < _LOGGED or (name == "X" and "log1p" in adata.uns):
            return "that look log-normalised"
        if len(self.totals) > 1 and self.totals[1] - self.totals[0] <= _SAME_TOTAL * self.totals[1]:
            return f"that sum to {self.totals[0]:.4g} in every spot, as normalised values do"
        return "that nobody calls counts" if name == "X" else None


def _keep(adata: AnnData) -> str:
    layers = layer_names(adata)
    return f"Keep the raw counts in adata.layers['counts'], or name their layer with layer= (layers: {layers})."


def _first(adata: AnnData, counts: sp.csr_matrix, wrong: Callable[[NDArray[Any]], NDArray[np.bool_]], what: str) -> str:
    """Count the wrong values, and name the first of them by spot and gene."""
    blocks = enumerate(_blocks(counts.data))
    at = np.concatenate([k * _AT_ONCE + np.flatnonzero(wrong(block)) for k, block in blocks])
    rows = np.searchsorted(counts.indptr, at[:_SHOWN], side="right") - 1
    spots, genes = adata.obs_names[rows], adata.var_names[counts.indices[at[:_SHOWN]]]
    shown = [f"{s}, {g}: {v:g}" for s, g, v in zip(spots, genes, counts.data[at[:_SHOWN]], strict=True)]
    return f"{len(at)} {what}, first at {'; '.join(shown)}"


def _extent(values: NDArray[Any]) -> tuple[float, float, bool]:
    """Smallest and largest value (NaN if there is one), and whether all are whole numbers; without a copy of them."""
    lows, highs, whole = [0.0], [0.0], True
    for block in _blocks(values):
        lows.append(float(block.min()))
        highs.append(float(block.max()))
        whole = whole and (block.dtype.kind in "uib" or bool((block == np.rint(block)).all()))
    return float(np.min(lows)), float(np.max(highs)), whole


def _blocks(values: NDArray[Any]) -> Iterator[NDArray[Any]]:
    return (values[start : start + _AT_ONCE] for start in range(0, values.size, _AT_ONCE))
