"""Gene vectors of components: genes joined by name, missing ones at their training mean."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import GenesError
from .._gene_names import GeneMatch, match_genes, mismatch_hint
from .._warn import warn
from ..nn import Model
from ._lazy_sections import Source

_LEAST_PRESENT = 0.8

Encoded = tuple[NDArray[np.float32], NDArray[np.bool_]]


def component_vectors(source: Source, model: Model) -> tuple[dict[str, Any], Iterator[Encoded]]:
    """Return what the record says of the genes; and by blocks of rows, vectors (n, dim) and which spots have counts."""
    genes = model.meta["genes"]
    match = match_genes(source.frame, genes)
    present = np.isin(np.arange(len(genes)), match.position)
    missing = [gene for gene, here in zip(genes, present, strict=True) if not here]
    blocks = _blocks(source, model, match, present)
    if missing:
        _check_missing(missing, source.frame, genes)
    return {"gene_names": match.taken_from, "genes_missing": missing}, blocks


def _blocks(source: Source, model: Model, match: GeneMatch, present: NDArray[np.bool_]) -> Iterator[Encoded]:
    for _, counts in source.blocks():
        found = joined(counts, match, len(present))
        ok = found.getnnz(axis=1) > 0
        yield np.where(ok[:, None], model.module.transform(found, present), np.float32(0)), ok


def joined(counts: sp.csr_matrix, match: GeneMatch, n_genes: int) -> sp.csr_matrix:
    """Pick the counts of the wanted genes in their order, zero where missing."""
    at = np.flatnonzero(match.found)
    to = match.position[at]
    pick = sp.csr_matrix((np.ones(len(at), dtype=np.float32), (at, to)), shape=(counts.shape[1], n_genes))
    picked = sp.csr_matrix(counts @ pick)
    picked.eliminate_zeros()
    return picked


def _check_missing(missing: Sequence[str], adata: AnnData, genes: Sequence[str]) -> None:
    n_found = len(genes) - len(missing)
    found = f"{n_found} of the model's {len(genes)} genes; {len(missing)} are missing, such as {missing[:3]}"
    if n_found < _LEAST_PRESENT * len(genes):
        fix = f"{mismatch_hint(adata, genes)} Use the model's naming, or fit a model on these genes."
        raise GenesError("var_names", found=found, expected=f"at least {_LEAST_PRESENT:.0%}", fix=fix)
    warn(f"var_names: {found}; they count as their training mean")
