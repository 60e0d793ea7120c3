"""Learn the gene vocabulary: which genes there are, and how strongly each is expressed."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from .._counts import raw_counts
from .._errors import GenesError
from .._gene_names import agree_but_for_case, bare_names, is_ensembl, mismatch_hint, own_names
from .._record import AnnDatas, each
from .._types import check_types
from .._vocabulary import Vocabulary
from .._warn import warn
from ._gene_sums import GeneSums, gene_sums

_FEW_SPOTS = 20  # below, a mean says little: the gene takes the median gene's


def fit_vocabulary(adatas: AnnDatas, *, layer: str | None = None) -> Vocabulary:
    """Learn the gene vocabulary of one or more sections.

    A gene's mean over its non-zero entries, in counts per 10,000, is what :func:`tokenize_genes` measures a spot's
    expression against with ``rank="mean"``; its share of all counts is what ``rank="residual"`` expects. Fit it on
    training patients only. Genes found in fewer than 20 spots take the median mean; a gene without any count takes the
    share of half a count.

    Parameters
    ----------
    adatas
        A section, or a list of them; the vocabulary holds the genes of all, in order of first appearance, without the
        versions of Ensembl ids.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.

    Returns
    -------
    The vocabulary; ``to_json`` and ``Vocabulary.from_json`` keep it.

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        Gene names are not unique, or some sections have symbols and others Ensembl ids, or those of another species.

    Warns
    -----
    UserWarning
        A section has no gene in common with the first.

    Examples
    --------
    >>> vocabulary = hs.pp.fit_vocabulary(hs.datasets.toy())
    >>> len(vocabulary)
    500
    """
    check_types(fit_vocabulary, locals())
    sections = each(adatas)
    check_one_naming([list(map(str, one.var_names)) for one in sections])
    return vocabulary_of((gene_sums(raw_counts(one, layer)), own_names(one)) for one in sections)


def vocabulary_of(found: Iterable[tuple[GeneSums, Sequence[str]]]) -> Vocabulary:
    """Make the vocabulary from the sums of each section, and the names of its genes."""
    scaled: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    spots: Counter[str] = Counter()
    totals: Counter[str] = Counter()  # counts of the sections that measure the gene
    for sums, genes in found:
        scaled.update(dict(zip(genes, sums.scaled.tolist(), strict=True)))
        counts.update(dict(zip(genes, sums.counts.tolist(), strict=True)))
        spots.update(dict(zip(genes, sums.n_nonzero.tolist(), strict=True)))
        totals.update(dict.fromkeys(genes, float(sums.counts.sum())))
    n_nonzero = np.array([spots[gene] for gene in scaled], dtype=np.int64)
    means = np.array(list(scaled.values())) / np.maximum(n_nonzero, 1)
    known = n_nonzero >= max(min(_FEW_SPOTS, n_nonzero.max()), 1)
    means[~known] = np.median(means[known]) if known.any() else 1.0
    shares = np.maximum(list(counts.values()), 0.5) / np.maximum(list(totals.values()), 1)
    return Vocabulary(tuple(scaled), means, n_nonzero, shares)


def check_one_naming(var_names: Sequence[Sequence[str]]) -> None:
    """Refuse sections that name their genes in ways that can't be joined; warn where they have none in common."""
    kinds = {is_ensembl(names) for names in var_names}
    if len(kinds) > 1:
        fix = "Bring them to one: adata.var_names = adata.var['gene_ids'], for example."
        raise GenesError("var_names", found="symbols in some sections, Ensembl ids in others", expected="one", fix=fix)
    first = bare_names([name.strip() for name in var_names[0]])
    for one in var_names[1:]:
        names = bare_names([name.strip() for name in one])
        if agree_but_for_case(names, first):
            found, fix = f"names such as {names[:2]} and {first[:2]}", mismatch_hint(names, first)
            raise GenesError("var_names", found=found, expected="one species", fix=fix)
        if set(names).isdisjoint(first):
            examples = f"{names[:2]} and {first[:2]}"
            warn(f"Two sections have no gene in common, as in {examples}: nothing passes from one to the other")
