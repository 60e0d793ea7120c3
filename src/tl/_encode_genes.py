"""Gene vectors: components fitted on some sections, applied to any."""

import warnings
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import raw_counts
from .._errors import GenesError, OptionError
from .._keys import Keys, valid
from .._record import AnnDatas, Targets, each, write
from ..nn import PCA, Model

_LEAST_PRESENT = 0.8


def fit_pca(adatas: AnnDatas, *, n_comps: int = 50, layer: str | None = None, random_state: int = 0) -> Model:
    """Fit principal components of log1p CP10k expression on sections.

    Parameters
    ----------
    adatas
        Sections to fit on: the training sections, and no others. Genes that all of them have are used.
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
        The sections share no genes, or gene names are not unique.
    OptionError
        More components than spots and genes allow.

    Examples
    --------
    >>> model = hs.tl.fit_pca(train)
    >>> hs.tl.encode_genes(test, model)
    """
    sections = each(adatas)
    counts = [raw_counts(one, layer) for one in sections]
    genes = _shared_genes(sections)
    stacked = sp.csr_matrix(sp.vstack([_join(c, one, genes)[0] for c, one in zip(counts, sections, strict=True)]))
    stacked = stacked[stacked.getnnz(axis=1) > 0]
    meta = {"sizes": {"genes": len(genes)}, "genes": genes, "n_spots": stacked.shape[0], "values": "log1p CP10k"}
    model = Model.new(PCA(n_comps=n_comps), meta)
    model.module.fit(stacked, random_state=random_state)
    return model


def _shared_genes(adatas: Sequence[AnnData]) -> list[str]:
    shared = set.intersection(*(set(one.var_names) for one in adatas))
    genes = [str(gene) for gene in adatas[0].var_names if gene in shared]
    if not genes:
        examples = [list(one.var_names[:2]) for one in adatas[:2]]
        fix = "Bring their gene names to one naming (symbols or Ensembl ids)."
        raise GenesError("var_names", found=f"no gene in all sections, as in {examples}", expected="some", fix=fix)
    return genes


def encode_genes(
    adata: AnnDatas, model: Model, *, layer: str | None = None, key_added: str = Keys.X_GENES, copy: bool = False
) -> AnnData | list[AnnData] | None:
    """Write the gene vector of each spot.

    Genes are joined by name: their order, and genes that the model does not know, make no difference.

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
    if not isinstance(getattr(model, "config", None), PCA):
        found = getattr(model, "name", type(model).__name__)
        raise OptionError("model", found=found, expected="a gene encoder", fix="Pass what hs.tl.fit_pca returned.")
    targets = Targets(adata, copy=copy)
    encoded = [_encode(one, model, layer) for one in targets]
    params = {"model": model.config, "layer": layer}
    hashes = {"encoder": model.sha256}
    for one, (vectors, ok) in zip(targets, encoded, strict=True):
        outputs = {Keys.X_GENES.renamed(key_added): vectors, valid(key_added): ok}
        write(one, outputs, by="tl.encode_genes", params=params, inputs=[Keys.COUNTS], hashes=hashes)
    return targets.result()


def _encode(adata: AnnData, model: Model, layer: str | None) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    counts, present = _join(raw_counts(adata, layer), adata, model.meta["genes"])
    _check_present(present, model.meta["genes"], adata)
    ok = counts.getnnz(axis=1) > 0
    return np.where(ok[:, None], model.module.transform(counts, present), np.float32(0)), ok


def _join(counts: sp.csr_matrix, adata: AnnData, genes: Sequence[str]) -> tuple[sp.csr_matrix, NDArray[np.bool_]]:
    """Pick the counts of ``genes`` in their order, zero where missing, and which of them are there."""
    at = adata.var_names.get_indexer(list(genes))
    present = at >= 0
    k = np.flatnonzero(present)
    pick = sp.csr_matrix((np.ones(len(k), dtype=np.float32), (at[k], k)), shape=(adata.n_vars, len(genes)))
    joined = sp.csr_matrix(counts @ pick)
    joined.eliminate_zeros()
    return joined, present


def _check_present(present: NDArray[np.bool_], genes: Sequence[str], adata: AnnData) -> None:
    share = present.mean()
    if share == 1:
        return
    missing = [gene for gene, here in zip(genes, present, strict=True) if not here]
    found = f"{present.sum()} of the model's {len(genes)} genes; {len(missing)} are missing, such as {missing[:3]}"
    if share < _LEAST_PRESENT:
        fix = f"Use the naming of the model's genes (here: {list(adata.var_names[:3])}), or fit a model on these genes."
        raise GenesError("var_names", found=found, expected=f"at least {_LEAST_PRESENT:.0%}", fix=fix)
    warnings.warn(f"var_names: {found}; they count as their training mean", UserWarning, stacklevel=4)
