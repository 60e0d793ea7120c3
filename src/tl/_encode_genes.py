"""Gene vectors: components fitted on some sections, applied to any."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import scipy.sparse as sp
from anndata import AnnData

from .._counts import raw_counts
from .._errors import OptionError
from .._gene_names import check_coverage, match_genes, other_names, shared_genes
from .._keys import Keys
from .._record import AnnDatas, Targets, each
from .._types import check_types
from ..nn import PCA, GeneEncoder, Model
from ._encode_components import joined
from ._encode_sections import Reading
from ._fusion_genes import gene_encoder_of
from ._lazy_sections import Sections, each_section


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
    adata: Sections,
    model: Model,
    *,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.X_GENES,
    device: str | None = None,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write the gene vector of each spot.

    Genes are joined by name: their order, and genes that the model does not know, make no difference. Surrounding
    blanks and the versions of Ensembl ids make none either; where ``var_names`` are of the other kind (symbols or
    Ensembl ids), the column of ``var`` that holds the model's kind is read, and the log and the record say so. They
    say, too, which share of the counts a token model knows.

    Of a model that ranks genes with ``rank="section"``, vectors are less the mean vector of their section: encode whole
    sections, for part of one has another mean.

    A file is read a block of rows at a time, and may be larger than memory. The slots are written to a copy of it,
    which then takes its place: a process that is killed leaves the old file.

    Parameters
    ----------
    adata
        A section, or a list of them: AnnData, or paths of ``.h5ad`` and ``.zarr``.
    model
        From :func:`fit_pca` or :func:`pretrain_genes`; or from :func:`fuse` with a gene encoder that it trained further.
    layer
        Layer with raw counts; of a model of :func:`fuse`, that of training where left out.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several and the model ranks genes
        with ``rank="section"``.
    key_added
        Slot to write.
    device
        Name of a torch device; components are found on the CPU.
    copy
        Return a copy instead of writing in place; not of files.

    Returns
    -------
    None, or the copy. Writes ``obsm["X_genes"]`` (n, d) float32, d being ``n_comps`` or ``dim``, and
    ``obs["X_genes_valid"]``, False for a spot without counts of the model's genes, whose row is zero.

    Raises
    ------
    CountsError
        No raw counts.
    FileError
        A file is not there, no AnnData, broken, or can't be written; it is as it was.
    GenesError
        Under 80 % of the genes of components are there; fewer missing ones count as their training mean, with a warning.
        Under 20 % of the counts are of genes that a token model knows; under 80 % it warns.

    Examples
    --------
    >>> hs.tl.encode_genes(adata, hs.tl.fit_pca(adata))

    >>> hs.tl.encode_genes("section.h5ad", model)
    """
    check_types(encode_genes, locals())
    if layer is None:
        layer = getattr(model, "meta", {}).get("counts")
    model = _gene_encoder(model)
    listed = each_section(adata)
    paths = [one for one in listed if isinstance(one, Path)]
    if copy and paths:
        fix = "Leave copy= out, or read it first: hs.io.read(path)."
        raise OptionError("copy", found="True for a file", expected="False", fix=fix)
    reading = Reading(model, layer, library_key, device, Keys.X_GENES.renamed(key_added))
    targets = (
        Targets([one for one in listed if isinstance(one, AnnData)], copy=copy) if len(paths) < len(listed) else None
    )
    encoded = []
    for one in targets or ():
        encoded.append(reading.whole(one))  # a comprehension would stand between the user and a warning
    for path in paths:
        reading.into_file(path)
    for one, (vectors, ok, names) in zip(targets or (), encoded, strict=True):
        reading.write(one, vectors, ok, names)
    result = targets.result() if targets else None
    return result if isinstance(adata, (list, tuple)) or result is None else result[0]


def _gene_encoder(model: Any) -> Model:
    """Return the model, or the gene encoder inside a fusion model; refuse what is neither."""
    if "gene_encoder" in getattr(model, "meta", {}):
        return gene_encoder_of(model)
    if not isinstance(getattr(model, "config", None), (PCA, GeneEncoder)):
        found, fix = (
            getattr(model, "name", type(model).__name__),
            "Pass what hs.tl.fit_pca, hs.tl.pretrain_genes or hs.tl.fuse(gene_model=) returned.",
        )
        raise OptionError("model", found=found, expected="a gene encoder", fix=fix)
    encoder: Model = model
    return encoder


def _shared(counts: sp.csr_matrix, adata: AnnData, genes: Sequence[str], others: Sequence[str]) -> sp.csr_matrix:
    """Pick the counts of the genes that all sections have, if these hold enough of them."""
    found = joined(counts, match_genes(adata, genes), len(genes))
    coverage = float(found.sum() / counts.sum()) if counts.nnz else 1.0
    check_coverage(adata, others, len(genes), coverage, among="in all sections")
    return found
