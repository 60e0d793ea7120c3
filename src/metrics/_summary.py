"""The few numbers that a table of genes comes down to."""

from collections.abc import Sequence

import pandas as pd

from .._checks import check, is_number
from .._errors import OptionError
from .._types import check_types

_SCORES = ("pearson", "spearman", "mse", "mae", "pearson_pooled")


def summarize_expression(
    frame: pd.DataFrame, *, by: Sequence[str] = ("rep", "split"), threshold: float = 0.2
) -> pd.DataFrame:
    """Average an expression probe: over the genes of a section, then over the sections of a fold, then over folds.

    Parameters
    ----------
    frame
        From :func:`histoscribe.tl.expression_probe`.
    by
        Columns that a row of the summary stands for; add ``"test"`` for each fold, and ``"section"`` for each section.
    threshold
        Correlation that a gene must pass to count as predicted.

    Returns
    -------
    A row for each: mean ``pearson``, ``spearman``, ``mse`` and ``mae``; ``pearson_pooled``, over the spots of all test
    sections of a fold together; ``share_above``, the share of genes above the threshold; ``n_genes`` of a section,
    ``n_constant`` of all, which have no correlation and are left out; ``n_sections`` and ``n_folds``.

    Raises
    ------
    OptionError
        The frame has other columns.

    Examples
    --------
    >>> frame = hs.tl.expression_probe(sections, use_rep={"image": "X_image", "coordinates": "spatial"})
    >>> hs.metrics.summarize_expression(frame, by=("rep", "split", "test"))
    """
    check_types(summarize_expression, locals())
    check("threshold", threshold, is_number(threshold, -1, 1), "a correlation, -1 to 1")
    missing = sorted({*by, "test", "section", "gene", *_SCORES, "constant"} - set(frame.columns))
    if missing:
        fix = "Pass what hs.tl.expression_probe returned."
        raise OptionError("frame", found=f"no columns {missing}", expected="scores of genes", fix=fix)
    keys = list(by)
    scored = frame.assign(share_above=(frame["pearson"] > threshold).where(~frame["constant"]).astype(float))
    averaged = scored
    for level in ("section", "test"):
        inner = list(dict.fromkeys([*keys, "test", *(["section"] if level == "section" else [])]))
        averaged = averaged.groupby(inner, sort=False)[[*_SCORES, "share_above"]].mean().reset_index()
    summary = averaged.groupby(keys, sort=False)[[*_SCORES, "share_above"]].mean()
    groups, each = frame.groupby(keys, sort=False), list(dict.fromkeys([*keys, "test", "section"]))
    counted = pd.DataFrame(
        {
            "n_genes": frame.groupby(each, sort=False)["gene"].nunique().groupby(keys, sort=False).max(),
            "n_constant": groups["constant"].sum(),
            "n_sections": groups["section"].nunique(),
            "n_folds": groups["test"].nunique(),
        }
    )
    return summary.join(counted).reset_index()
