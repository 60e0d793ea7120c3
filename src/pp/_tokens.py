"""Gene tokens: a spot as the list of its genes, the most unusually expressed first."""

import warnings

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check
from .._counts import raw_counts
from .._errors import GenesError
from .._keys import Keys, valid
from .._record import AnnDatas, Targets, write
from .._vocabulary import FIRST_GENE, PAD, Vocabulary
from ._gene_names import mismatch_hint

_WARN_BELOW, _ERROR_BELOW = 0.8, 0.2  # share of the counts that lies in the vocabulary
_ROWS_AT_ONCE = 4096


def tokenize_genes(
    adata: AnnDatas,
    vocabulary: Vocabulary,
    *,
    n_tokens: int = 1500,
    layer: str | None = None,
    key_added: str = Keys.TOKENS,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write each spot's genes in order of their expression relative to the vocabulary's mean ("anomaly rank").

    Ties are broken by the count, then by the vocabulary's order, so that the same data give the same tokens everywhere.

    Parameters
    ----------
    adata
        A section, or a list of them.
    vocabulary
        From :func:`fit_vocabulary`.
    n_tokens
        Genes kept per spot, the most unusual first; shorter spots are padded.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.
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
        Less than 20 % of the counts are of genes in the vocabulary (below 80 % it warns).

    References
    ----------
    "Fusing Pixels and Genes: Spatially-Aware Learning in Computational Pathology", ICLR 2026, arXiv:2602.13944.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=50)
    >>> adata.obsm["gene_tokens"].shape
    (400, 50)
    """
    check("n_tokens", n_tokens, n_tokens >= 1, "1 or more")
    targets = Targets(adata, copy=copy)
    results = [_section_tokens(one, vocabulary, n_tokens, layer) for one in targets]
    for one, (tokens, coverage) in zip(targets, results, strict=True):
        write(
            one,
            {Keys.TOKENS.renamed(key_added): tokens, valid(key_added): tokens[:, 0] != PAD},
            by="pp.tokenize_genes",
            params={"n_tokens": n_tokens, "layer": layer, "n_genes": len(vocabulary), "coverage": coverage},
            inputs=[Keys.COUNTS.renamed(layer or Keys.COUNTS)],
            hashes={"vocabulary": vocabulary.sha256},
        )
    return targets.result()


def _section_tokens(
    adata: AnnData, vocabulary: Vocabulary, n_tokens: int, layer: str | None
) -> tuple[NDArray[np.unsignedinteger], float]:
    counts = raw_counts(adata, layer)
    position = vocabulary.index(map(str, adata.var_names))
    total = float(counts.sum())
    coverage = float(counts[:, position >= 0].sum()) / total if total else 1.0
    _check_coverage(adata, vocabulary, position, coverage)
    return rank_tokens(counts, position, vocabulary.means, n_tokens), coverage


def _check_coverage(adata: AnnData, vocabulary: Vocabulary, position: NDArray[np.int64], coverage: float) -> None:
    found = f"{(position >= 0).sum()} of {len(position)} genes in the vocabulary, {coverage:.0%} of the counts"
    if coverage < _ERROR_BELOW:
        expected = f"at least {_ERROR_BELOW:.0%} of the counts"
        raise GenesError("var_names", found=found, expected=expected, fix=mismatch_hint(adata, vocabulary.genes))
    if coverage < _WARN_BELOW:
        warnings.warn(f"Only {found}; the rest is left out.", UserWarning, stacklevel=4)


def rank_tokens(
    counts: sp.csr_matrix, position: NDArray[np.int64], means: NDArray[np.float64], n_tokens: int
) -> NDArray[np.unsignedinteger]:
    """Tokens (n, n_tokens) of counts (n, g).

    Parameters
    ----------
    counts
        Raw counts. Their scale per spot cancels in the rank, so it is not applied.
    position
        Vocabulary position of each column, -1 for a gene outside it.
    means
        Mean expression by vocabulary position.
    n_tokens
        Tokens kept per spot.
    """
    dtype = np.uint16 if FIRST_GENE + len(means) <= np.iinfo(np.uint16).max + 1 else np.uint32
    tokens = np.full((counts.shape[0], n_tokens), PAD, dtype=dtype)
    for start in range(0, counts.shape[0], _ROWS_AT_ONCE):
        block = sp.csr_matrix(counts[start : start + _ROWS_AT_ONCE]).tocoo()
        gene = position[block.col]
        keep = (gene >= 0) & (block.data > 0)
        row, gene, count = block.row[keep], gene[keep], block.data[keep].astype(np.float64)
        order = np.lexsort((gene, -count, -count / means[gene], row))
        row, gene = row[order], gene[order]
        rank = np.arange(len(row)) - np.searchsorted(row, row)  # place of each entry within its row
        first = rank < n_tokens
        tokens[start + row[first], rank[first]] = FIRST_GENE + gene[first]
    return tokens
