"""Targets of the expression probe: genes chosen on training sections, their values, and sections without them."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import raw_counts
from .._errors import GenesError, OptionError
from .._gene_names import check_coverage, mismatch_hint, other_names
from .._keys import Keys
from ._probe_folds import Piece

_HEST_SHARE = 0.1
_CONTROLS = ("BLANK", "Control")

log = logging.getLogger("histoscribe")


class Expression:
    """Counts of all pieces and the genes that all have.

    Parameters
    ----------
    pieces
        Sections by units.
    layer
        Layer with raw counts.
    protocol
        ``"histoscribe"`` for log1p of counts per 10,000, ``"hest"`` for log1p of counts.
    """

    def __init__(self, pieces: Sequence[Piece], layer: str | None, protocol: str) -> None:
        whole = {id(p.adata): raw_counts(p.adata, layer) for p in pieces}
        self.names = _shared([p.adata for p in pieces])
        adatas = list({id(p.adata): p.adata for p in pieces}.values())
        for one in adatas:
            _check_shared(one, whole[id(one)], self.names, other_names(one, adatas))
        self.counts = [whole[id(p.adata)][p.rows] for p in pieces]
        self._depth = [np.asarray(c.sum(axis=1), dtype=np.float64).ravel() for c in self.counts]
        self._variances: dict[int, NDArray[np.float64]] = {}
        self._columns = [p.adata.var_names.get_indexer(self.names) for p in pieces]
        self._hest = protocol == "hest"

    def values(self, k: int, columns: NDArray[np.intp]) -> sp.csr_matrix:
        """Return expression of some of the shared genes in a piece; depth is that of all its genes."""
        counts = sp.csr_matrix(self.counts[k][:, self._columns[k][columns]], dtype=np.float64)
        if not self._hest:
            counts.data *= np.repeat(1e4 / np.maximum(self._depth[k], 1e-12), np.diff(counts.indptr))
        return counts.log1p()

    def targets(self, genes: int | Sequence[str], train: Sequence[int]) -> list[str]:
        """Names as they were asked for, or the most variable genes of the training pieces."""
        if not isinstance(genes, (int, np.integer)):
            return _known(genes, self.names)
        if genes > len(self.names):
            expected = f"at most {len(self.names)}, the genes that all sections have"
            raise OptionError("genes", found=genes, expected=expected, fix="Ask for fewer.")
        return self._hest_genes(genes, train) if self._hest else self._variable(genes, train)

    def _variable(self, n: int, train: Sequence[int]) -> list[str]:
        """Genes with the largest variance within a section, mean over sections."""
        variance = np.sum([self._variance(k) for k in train], axis=0)
        return [self.names[i] for i in np.argsort(-variance, kind="stable")[:n]]

    def _variance(self, k: int) -> NDArray[np.float64]:
        if k not in self._variances:
            values = self.values(k, np.arange(len(self.names)))
            n = max(int((self._depth[k] > 0).sum()), 1)
            mean, square = (np.asarray(v.sum(axis=0)).ravel() / n for v in (values, values.power(2)))
            self._variances[k] = square - mean**2
        return self._variances[k]

    def _hest_genes(self, n: int, train: Sequence[int]) -> list[str]:
        """Scanpy's highly variable genes of log1p counts among those in a tenth of the spots of every section."""
        import scanpy as sc

        there = np.array([not any(word in name for word in _CONTROLS) for name in self.names])
        for k in train:
            counts = self.counts[k][:, self._columns[k]]
            there &= counts.getnnz(axis=0) >= np.ceil(_HEST_SHARE * counts.shape[0])
        names = sorted(np.array(self.names, dtype=object)[there])
        if len(names) < n:
            found = f"{len(names)} genes in a tenth of the spots of every training section"
            raise GenesError("genes", found=found, expected=f"{n} or more", fix="Ask for fewer, or name them.")
        columns = pd.Index(self.names).get_indexer(names)
        counts = sp.vstack([self.counts[k][:, self._columns[k][columns]] for k in train])
        stacked = sp.csr_matrix(counts, dtype=np.float32)  # as HEST has them: ties fall as they fall there
        holder = AnnData(stacked, var=pd.DataFrame(index=pd.Index(names, dtype=str)))
        sc.pp.log1p(holder)
        chosen = sc.pp.highly_variable_genes(holder, n_top_genes=n, inplace=False)["highly_variable"].to_numpy()
        return [name for name, best in zip(names, chosen, strict=True) if best][:n]

    def rows(self, k: int, genes: Sequence[str]) -> NDArray[np.float64]:
        """Return the targets of a piece (n, g), NaN for a spot without counts."""
        y = self.values(k, pd.Index(self.names).get_indexer(list(genes))).toarray()
        y[self._depth[k] == 0] = np.nan
        return y


def _shared(adatas: Sequence[AnnData]) -> list[str]:
    shared = set.intersection(*(set(one.var_names) for one in adatas))
    names = [str(name) for name in adatas[0].var_names if name in shared]
    if not names:
        examples = [list(one.var_names[:2]) for one in adatas[:2]]
        other = min(adatas, key=lambda one: adatas[0].var_names.isin(one.var_names).sum())
        fix = mismatch_hint(list(other.var_names), list(adatas[0].var_names))
        raise GenesError("var_names", found=f"no gene in all sections, as in {examples}", expected="some", fix=fix)
    return names


def _check_shared(adata: AnnData, counts: sp.csr_matrix, names: Sequence[str], others: Sequence[str]) -> None:
    held = np.asarray(adata.var_names.isin(names))
    total = float(counts.sum())
    coverage = float(counts[:, held].sum()) / total if total else 1.0
    check_coverage(adata, others, int(held.sum()), coverage, among="in all sections")


def _known(genes: Sequence[str], names: Sequence[str]) -> list[str]:
    wanted = list(dict.fromkeys([genes] if isinstance(genes, str) else map(str, genes)))
    missing = sorted(set(wanted) - set(names))
    if missing or not wanted:
        found = f"{len(missing)} of {len(wanted)} are not in all sections, such as {missing[:3]}"
        fix = f"Leave these out. {mismatch_hint(names, missing)}" if missing else "Name some."
        raise GenesError("genes", found=found, expected="genes of all sections", fix=fix)
    return wanted


def without(piece: Piece, genes: Sequence[str]) -> AnnData:
    """Section as functions see it that learn a representation: no target genes, and nothing made from counts."""
    hidden = piece.adata.var_names.isin(list(genes))
    shown = piece.view()[:, ~hidden].copy()
    shown.raw = None
    for key in [key for key in shown.obsm if from_counts(piece.adata, key)]:
        del shown.obsm[key]
    return shown


def from_counts(adata: AnnData, key: str) -> str | None:
    """Name of the function that brought counts into a slot of obsm, by the record; None where none is known to."""
    return _traced(adata.uns.get(Keys.RECORD, {}), f"obsm.{key}", set())


def _traced(record: Mapping[str, Any], slot: str, seen: set[str]) -> str | None:
    entry = record.get(slot)
    if entry is None or slot in seen:
        return None
    image_alone = entry["by"] == "tl.embed" and slot.endswith("_image")  # by a model that was trained elsewhere
    for source in () if image_alone else entry["inputs"]:
        if str(source).startswith(("layers.", "X")) or _traced(record, str(source), seen | {slot}):
            return str(entry["by"])
    return None
