"""Gene tokens: a spot as the list of its genes, the most unusually expressed first."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._counts import raw_counts
from .._errors import GenesError
from .._gene_names import GeneMatch, check_coverage, match_genes
from .._keys import Keys, valid
from .._record import AnnDatas, Targets, write
from .._sections import sections
from .._types import check_types
from .._vocabulary import PAD, Vocabulary
from ._gene_sums import covered, gene_sums
from ._rank import RANKS, Rank, rank_tokens


def tokenize_genes(
    adata: AnnDatas,
    vocabulary: Vocabulary,
    *,
    n_tokens: int = 1500,
    rank: Rank = "mean",
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.TOKENS,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write each spot's genes, the most unusually expressed first.

    Unusual is measured against the vocabulary, or against the section itself. Genes with equal values are ordered by count, then
    by the vocabulary, so that the same data give the same tokens everywhere. Names are joined without surrounding
    blanks and Ensembl versions; where ``var_names`` are of the other kind (symbols or Ensembl ids), the column of
    ``var`` that holds the vocabulary's kind is read, and the log and the record say so. Upper and lower case are never
    made equal.

    Parameters
    ----------
    adata
        A section, or a list of them.
    vocabulary
        From :func:`fit_vocabulary`.
    n_tokens
        Genes kept per spot, the most unusual first; shorter spots are padded.
    rank
        ``"mean"``: expression over the gene's mean where it is found at all, the "anomaly rank" of the reference.
        ``"residual"``: Pearson residual, the count minus the one expected from the spot's total (of the vocabulary's
        genes) and the gene's share of all training counts, over its standard deviation (negative binomial, theta 100;
        at least 1, so that no gene comes first because a single molecule of it was seen); shares are taken relative to
        the genes that the section measures.
        ``"section"``: the same residual, but with each gene's share of the section's own counts: what sets one section
        or platform apart from another as a whole plays no part, only what differs within it. It needs the whole section.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["gene_tokens"]`` (n, n_tokens): 0 pads, gene ``k`` of the vocabulary is ``30 + k``;
    and ``obs["gene_tokens_valid"]``, False for a spot without any gene of the vocabulary.

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        Less than 20 % of the counts are of genes in the vocabulary (below 80 % it warns). ``rank="residual"`` with a
        vocabulary that has no shares.

    References
    ----------
    "Fusing Pixels and Genes: Spatially-Aware Learning in Computational Pathology", ICLR 2026, arXiv:2602.13944 (mean);
    Lause et al. 2021, Genome Biology 22:258 (residuals).

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=50)
    >>> adata.obsm["gene_tokens"].shape
    (400, 50)
    """
    check_types(tokenize_genes, locals())
    check("n_tokens", n_tokens, is_count(n_tokens), "1 or more")
    check("rank", rank, rank in RANKS, f"one of {list(RANKS)}")
    targets = Targets(adata, copy=copy)
    options = TokenOptions(n_tokens, rank, layer, library_key)
    results = [section_tokens(one, vocabulary, options) for one in targets]
    for one, (tokens, names) in zip(targets, results, strict=True):
        write(
            one,
            {Keys.TOKENS.renamed(key_added): tokens, valid(key_added): tokens[:, 0] != PAD},
            by="pp.tokenize_genes",
            params={"n_tokens": n_tokens, "rank": rank, "layer": layer, "n_genes": len(vocabulary), **names},
            inputs=[Keys.COUNTS.renamed(layer or Keys.COUNTS)],
            hashes={"vocabulary": vocabulary.sha256},
        )
    return targets.result()


class TokenOptions(NamedTuple):
    """How tokens are made, as in :func:`tokenize_genes`."""

    n_tokens: int
    rank: Rank = "mean"
    layer: str | None = None
    library_key: str = Keys.LIBRARY_ID


def section_tokens(
    adata: AnnData, vocabulary: Vocabulary, options: TokenOptions
) -> tuple[NDArray[np.unsignedinteger], dict[str, object]]:
    """Tokens (n, n_tokens) of an AnnData, and what the record says of its genes."""
    counts, match = raw_counts(adata, options.layer), match_genes(adata, vocabulary.genes)
    by_section, totals = {}, {}
    if options.rank == "section":
        by_section = sections(adata, options.library_key)
        totals = _totals(counts, match, len(vocabulary), by_section)
    tokens, sums = block_tokens(counts, vocabulary, options, match=match, rows=by_section, totals=totals)
    coverage = covered(sums)
    n_found = int(match.found.sum())
    check_coverage(adata, vocabulary.genes, n_found, coverage, among="in the vocabulary")
    return tokens, match.params(len(vocabulary), coverage=coverage)


def block_tokens(
    counts: sp.csr_matrix,
    vocabulary: Vocabulary,
    options: TokenOptions,
    *,
    match: GeneMatch,
    rows: Mapping[str, NDArray[np.intp]],
    totals: Mapping[str, NDArray[np.float64]],
) -> tuple[NDArray[np.unsignedinteger], NDArray[np.float64]]:
    """Tokens (n, n_tokens) of a block of rows, and what they cover (n, 2).

    With ``rank="section"``, ``rows`` says which of them are of which section, and ``totals`` the counts of each gene of
    the vocabulary in the whole section.
    """
    if options.rank == "section":
        parts = [(own, counts[own], _shares(totals[name])) for name, own in rows.items() if len(own)]
    else:
        parts = [(np.arange(counts.shape[0]), counts, _weights(vocabulary, options.rank, match))]
    found = [rank_tokens(own, match.position, w, options.n_tokens, rank=options.rank) for _, own, w in parts]
    order = np.argsort(np.concatenate([own for own, _, _ in parts]), kind="stable")
    tokens, sums = (np.concatenate(of_parts)[order] for of_parts in zip(*found, strict=True))
    return tokens, sums


def _totals(
    counts: sp.csr_matrix, match: GeneMatch, n_genes: int, rows: Mapping[str, NDArray[np.intp]]
) -> dict[str, NDArray[np.float64]]:
    """Sum the counts of each gene of the vocabulary in each section."""
    totals = {name: np.zeros(n_genes) for name in rows}
    for name, own in rows.items():
        totals[name][match.position[match.found]] = gene_sums(counts[own]).counts[match.found]
    return totals


def _shares(totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each gene in the counts of its section; no gene without counts is ever looked up."""
    return totals / max(totals.sum(), 1)


def _weights(vocabulary: Vocabulary, rank: Rank, match: GeneMatch) -> NDArray[np.float64]:
    if rank == "mean":
        return vocabulary.means
    if vocabulary.shares is None:
        fix = "Fit it anew with hs.pp.fit_vocabulary(train), or take rank='mean'."
        expected = "the gene shares that rank='residual' needs"
        raise GenesError("vocabulary.shares", found="none, as in those of 0.1.0", expected=expected, fix=fix)
    return vocabulary.shares / max(vocabulary.shares[match.position[match.found]].sum(), np.finfo(float).tiny)
