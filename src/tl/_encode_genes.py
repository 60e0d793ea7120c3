"""Gene vectors: components fitted on some sections, applied to any."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import raw_counts
from .._errors import GenesError, OptionError
from .._gene_names import GeneMatch, check_coverage, match_genes, mismatch_hint, other_names, shared_genes
from .._keys import Keys, valid
from .._record import AnnDatas, Targets, each, write
from .._types import check_types
from ..nn import PCA, Model

_LEAST_PRESENT = 0.8


def fit_pca(adatas: AnnDatas, *, n_comps: int = 50, layer: str | None = None, random_state: int = 0) -> Model:
    """Fit principal components of log1p CP10k expression on sections.

    Parameters
    ----------
    adatas
        Sections to fit on: the training sections, and no others. Genes that all of them have are used, by the names
        of the first; names are joined as :func:`encode_genes` does.
    n_comps
        Number of components.
    layer
        Layer with raw counts.
    random_state
        Seed of the solver.

    Returns
    -------
    The model, for :func:`encode_genes`; it remembers the genes.

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        The sections share no genes, or genes with less than 20 % of the counts of one of them (below 80 % it warns);
        or gene names are not unique.
    OptionError
        More components than spots and genes allow.

    Examples
    --------
    >>> model = hs.tl.fit_pca(train)
    >>> hs.tl.encode_genes(test, model)
    """
    check_types(fit_pca, locals())
    sections = each(adatas)
    counts = [raw_counts(one, layer) for one in sections]
    genes = shared_genes(sections)
    parts = [_shared(own, one, genes, other_names(one, sections)) for own, one in zip(counts, sections, strict=True)]
    stacked = sp.csr_matrix(sp.vstack(parts))
    stacked = stacked[stacked.getnnz(axis=1) > 0]
    meta = {"sizes": {"genes": len(genes)}, "genes": genes, "n_spots": stacked.shape[0], "values": "log1p CP10k"}
    model = Model.new(PCA(n_comps=n_comps), meta)
    model.module.fit(stacked, random_state=random_state)
    return model


def encode_genes(
    adata: AnnDatas, model: Model, *, layer: str | None = None, key_added: str = Keys.X_GENES, copy: bool = False
) -> AnnData | list[AnnData] | None:
    """Write the gene vector of each spot.

    Genes are joined by name: their order, and genes that the model does not know, make no difference. Surrounding
    blanks and the versions of Ensembl ids make none either; where ``var_names`` are of the other kind (symbols or
    Ensembl ids), the column of ``var`` that holds the model's kind is read, and the log and the record say so.

    Parameters
    ----------
    adata
        A section, or a list of them.
    model
        From :func:`fit_pca`.
    layer
        Layer with raw counts.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["X_genes"]`` (n, n_comps) float32 and ``obs["X_genes_valid"]``, False for a spot
    without counts, whose row is zero.

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        Under 80 % of the model's genes are there. Fewer missing ones count as their training mean, with a warning.

    Examples
    --------
    >>> hs.tl.encode_genes(adata, hs.tl.fit_pca(adata))
    """
    check_types(encode_genes, locals())
    if not isinstance(getattr(model, "config", None), PCA):
        found = getattr(model, "name", type(model).__name__)
        raise OptionError("model", found=found, expected="a gene encoder", fix="Pass what hs.tl.fit_pca returned.")
    targets = Targets(adata, copy=copy)
    encoded = [_encode(one, model, layer) for one in targets]
    params = {"model": model.config, "layer": layer}
    hashes = {"encoder": model.sha256}
    inputs = [Keys.COUNTS.renamed(layer or Keys.COUNTS)]
    for one, (vectors, ok, names) in zip(targets, encoded, strict=True):
        outputs = {Keys.X_GENES.renamed(key_added): vectors, valid(key_added): ok}
        write(one, outputs, by="tl.encode_genes", params={**params, **names}, inputs=inputs, hashes=hashes)
    return targets.result()


def _encode(
    adata: AnnData, model: Model, layer: str | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_], dict[str, Any]]:
    """Vectors, the spots that have counts, and what the record says of the genes."""
    genes = model.meta["genes"]
    counts, match = raw_counts(adata, layer), match_genes(adata, genes)
    present = np.isin(np.arange(len(genes)), match.position)
    missing = [gene for gene, here in zip(genes, present, strict=True) if not here]
    if missing:
        _check_missing(missing, adata, genes)
    joined = _joined(counts, match, len(genes))
    ok = joined.getnnz(axis=1) > 0
    vectors = np.where(ok[:, None], model.module.transform(joined, present), np.float32(0))
    return vectors, ok, {"gene_names": match.taken_from, "genes_missing": missing}


def _joined(counts: sp.csr_matrix, match: GeneMatch, n_genes: int) -> sp.csr_matrix:
    """Pick the counts of the wanted genes in their order, zero where missing."""
    at = np.flatnonzero(match.found)
    to = match.position[at]
    pick = sp.csr_matrix((np.ones(len(at), dtype=np.float32), (at, to)), shape=(counts.shape[1], n_genes))
    joined = sp.csr_matrix(counts @ pick)
    joined.eliminate_zeros()
    return joined


def _shared(counts: sp.csr_matrix, adata: AnnData, genes: Sequence[str], others: Sequence[str]) -> sp.csr_matrix:
    """Pick the counts of the genes that all sections have, if these hold enough of them."""
    joined = _joined(counts, match_genes(adata, genes), len(genes))
    coverage = float(joined.sum() / counts.sum()) if counts.nnz else 1.0
    check_coverage(adata, others, len(genes), coverage, among="in all sections", stacklevel=3)
    return joined


def _check_missing(missing: Sequence[str], adata: AnnData, genes: Sequence[str]) -> None:
    n_found = len(genes) - len(missing)
    found = f"{n_found} of the model's {len(genes)} genes; {len(missing)} are missing, such as {missing[:3]}"
    if n_found < _LEAST_PRESENT * len(genes):
        fix = f"{mismatch_hint(adata, genes)} Use the model's naming, or fit a model on these genes."
        raise GenesError("var_names", found=found, expected=f"at least {_LEAST_PRESENT:.0%}", fix=fix)
    warnings.warn(f"var_names: {found}; they count as their training mean", UserWarning, stacklevel=5)
