"""Learn the gene vocabulary: which genes there are, and how strongly each is expressed where it is found."""

from collections import Counter

import numpy as np

from .._counts import raw_counts
from .._expression import counts_per_10k
from .._record import AnnDatas, each
from .._vocabulary import Vocabulary

_FEW_SPOTS = 20  # below, a mean says little: the gene takes the median gene's


def fit_vocabulary(adatas: AnnDatas, *, layer: str | None = None) -> Vocabulary:
    """Learn the gene vocabulary of one or more sections.

    A gene's mean over its non-zero entries, in counts per 10,000, is what :func:`tokenize_genes` measures a spot's
    expression against. Fit it on training patients only. Genes found in fewer than 20 spots take the median mean.

    Parameters
    ----------
    adatas
        A section, or a list of them; the vocabulary holds the genes of all, in order of first appearance.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.

    Returns
    -------
    The vocabulary.

    Raises
    ------
    CountsError
        No raw counts, or no counts at all.

    Examples
    --------
    >>> vocabulary = hs.pp.fit_vocabulary(hs.datasets.toy())
    >>> len(vocabulary)
    500
    """
    sums: Counter[str] = Counter()
    spots: Counter[str] = Counter()
    for adata in each(adatas):
        scaled = counts_per_10k(raw_counts(adata, layer))
        scaled.eliminate_zeros()
        genes = list(map(str, adata.var_names))
        sums.update(dict(zip(genes, np.asarray(scaled.sum(axis=0)).ravel().tolist(), strict=True)))
        spots.update(dict(zip(genes, scaled.getnnz(axis=0).tolist(), strict=True)))
    n_nonzero = np.array([spots[gene] for gene in sums], dtype=np.int64)
    means = np.array(list(sums.values())) / np.maximum(n_nonzero, 1)
    known = n_nonzero >= min(_FEW_SPOTS, n_nonzero.max())
    means[~known] = np.median(means[known]) if n_nonzero.max() else 1.0
    return Vocabulary(tuple(sums), means, n_nonzero)
