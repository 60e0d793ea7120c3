"""How much of gene expression can be read off a spot's vector by a linear model, on patients it has not seen."""

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd

from .._checks import check, is_count, is_number
from .._errors import OptionError
from .._keys import Keys
from .._progress import progress
from .._record import AnnDatas
from .._types import check_types
from ._probe_expression import Options, probed
from ._probe_folds import Fold, Folds, Piece, folds_of, pieces_of
from ._probe_genes import Expression, from_counts, without
from ._probe_reps import Rep, Reps, Source, named

_ALPHAS = (1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2)


def expression_probe(
    adatas: AnnDatas,
    genes: int | Sequence[str] = 250,
    *,
    use_rep: Reps,
    patients: str = Keys.PATIENT,
    folds: Folds = None,
    protocol: Literal["histoscribe", "hest"] = "histoscribe",
    alphas: Sequence[float] = _ALPHAS,
    layer: str | None = None,
    n_bootstrap: int = 0,
    block_um: float = 500.0,
    library_key: str = Keys.LIBRARY_ID,
    random_state: int = 0,
) -> pd.DataFrame:
    """Predict gene expression of spots of patients that were left out, by ridge regression on vectors.

    By the protocol ``"histoscribe"``, genes are log1p of counts per 10,000, vectors are standardised, and all genes
    share one penalty, chosen by the mean correlation on training patients left out in turn (up to five groups of them;
    sections where one patient trains; quarters of the section where there is one).

    ``"hest"`` is the regression of HEST-Benchmark: genes are log1p of counts, vectors are standardised and reduced to
    256 principal components (or as many as there are), and ridge without an intercept has the penalty 100 / (components
    * genes). Spots of all test sections are correlated together.

    In both, everything is fitted on the training side of a fold alone, and target genes are no inputs: a slot that the
    record says was made from counts is refused, and functions get sections without the target genes and without such
    slots. What a slot without a record was made from can't be known.

    Parameters
    ----------
    adatas
        Sections of two patients or more: one AnnData, or a list. Nothing is written.
    genes
        Names, or a number: then each fold takes the genes with the largest variance within a training section (mean
        over these), or, for ``"hest"``, scanpy's highly variable genes of those that a tenth of the spots of every
        training section have, as HEST chose its 50.
    use_rep
        What to judge: the name of a slot of ``obsm``, several names whose vectors are joined, or a function for what
        must be learned on training sections only. It gets them as a list of AnnData, one a section, and returns a
        function that makes the vectors (n, d) of one such AnnData. A mapping of labels to any of these compares them
        on the same folds and spots.
    patients
        Column of ``obs`` with the unit that is left out. Sections of one patient in training and test are
        interpolation: the result says so in ``split``, and the log warns.
    folds
        Pairs of values of that column, (train, test), each a value or a list, or a mapping of names to such pairs;
        None leaves out each value once.
    protocol
        See above.
    alphas
        Penalties per training spot to choose from; a single one is used as it is. Not used by ``"hest"``.
    layer
        Layer with raw counts.
    n_bootstrap
        Resamples of spatial blocks of each section, for an interval of its mean correlation; 0 for none.
    block_um
        Side of a block, um.
    library_key
        Column of ``obs`` that says the section of a spot.
    random_state
        Seed of the resamples.

    Returns
    -------
    A row for each fold, representation, test section and gene: ``rep``; ``split``, ``"patient"`` or ``"same patient"``;
    ``test``, what was left out; ``section`` (``"all"`` for ``"hest"``); ``gene``; ``pearson`` and ``spearman``; ``mse``
    and ``mae`` of expression standardised by the training side (NaN for ``"hest"``, where they mean nothing);
    ``constant``, a gene without a correlation; ``pearson_pooled``, over the spots of all test sections together;
    ``n_train``, ``n_test`` and ``n_left_out`` spots, the last without vectors or counts; ``alpha``, the penalty, and
    ``inner``, what it was chosen on; ``low`` and ``high``, 95 % of the resamples of the section's mean correlation, if
    asked for. :func:`histoscribe.metrics.summarize_expression` makes a table of it.

    Raises
    ------
    MissingError
        A column or a slot is missing.
    CountsError
        No raw counts.
    GenesError
        Genes that not all sections have.
    OptionError
        Fewer than two patients, folds that overlap, inputs made from counts, or a value that is not allowed.

    References
    ----------
    Jaume et al. 2024, arXiv:2406.16192 (HEST).

    Examples
    --------
    >>> frame = hs.tl.expression_probe(sections, use_rep={"image": "X_image", "coordinates": "spatial"})
    >>> hs.metrics.summarize_expression(frame)

    One headline split, and a baseline that is learned on its training sections:

    >>> def pca(train):
    ...     model = hs.tl.fit_pca(train, n_comps=30)
    ...     return lambda adata: hs.tl.encode_genes(adata, model, copy=True).obsm["X_genes"]
    >>> hs.tl.expression_probe(sections, 50, use_rep=pca, folds={"C to B4": ("C", "B")})
    """
    check_types(expression_probe, locals())
    check("block_um", block_um, is_number(block_um, 1e-9), "a length in um")
    check("protocol", protocol, protocol in ("histoscribe", "hest"), "'histoscribe' or 'hest'")
    check("n_bootstrap", n_bootstrap, is_count(n_bootstrap, 0), "a whole number, 0 for none")
    ok = len(alphas) > 0 and all(is_number(a, 1e-12) for a in alphas)
    check("alphas", alphas, ok, "positive numbers, large for a strong penalty")
    if not isinstance(genes, Sequence | pd.Index | np.ndarray):
        check("genes", genes, is_count(genes), "a number of genes, 1 or more, or their names")
    pieces = pieces_of(adatas, patients, library_key)
    made = folds_of(pieces, folds, patients)
    reps = named(use_rep)
    for label, rep in reps.items():
        _refuse_counts(label, rep, pieces, made)
    source, expression = Source(reps, pieces), Expression(pieces, layer, protocol)
    options = Options(protocol, tuple(alphas), n_bootstrap, block_um, library_key, random_state)
    parts = []
    for fold in progress(made, desc="expression probe", unit="fold"):
        targets = expression.targets(genes, fold.train)
        y = {k: expression.rows(k, targets) for k in (*fold.train, *fold.test)}
        for label, x in source.of(fold, partial(without, genes=targets)).items():
            parts.append(probed(label, fold, pieces, x, y, targets, options))
    return pd.concat(parts, ignore_index=True)


def _refuse_counts(label: str, rep: Rep, pieces: Sequence[Piece], folds: Sequence[Fold]) -> None:
    """Refuse slots of test sections that are known to be made from counts: these hold target genes."""
    if callable(rep):
        return
    tested = {id(pieces[k].adata): pieces[k].adata for fold in folds for k in fold.test}.values()
    for name in [rep] if isinstance(rep, str) else rep:
        by = next((by for one in tested if (by := from_counts(one, name))), None)
        if by is not None:
            found = f"obsm[{name!r}], made from counts by {by}, and these hold the target genes"
            fix = "Pass a function, as in the examples: it gets sections without them."
            raise OptionError(f"use_rep {label!r}", found=found, expected="no target genes as inputs", fix=fix)
