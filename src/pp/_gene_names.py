"""Gene names: how well two lists agree, and what to tell the user where they don't."""

import re
from collections.abc import Iterable

import pandas as pd
from anndata import AnnData

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}(\.\d+)?$")


def mismatch_hint(adata: AnnData, wanted: Iterable[str]) -> str:
    """Say why few gene names of ``adata`` are among ``wanted``, as far as the names tell."""
    names, wanted = list(map(str, adata.var_names)), set(wanted)
    if not names or not wanted:
        return "One of the two lists is empty."
    ours, theirs = _is_ensembl(names), _is_ensembl(wanted)
    if ours != theirs:
        kinds = ("Ensembl ids", "symbols") if ours else ("symbols", "Ensembl ids")
        column = _column_of_other_kind(adata, ensembl=theirs)
        fix = (
            f"adata.var[{column!r}] holds those: adata.var_names = adata.var[{column!r}]."
            if column
            else "Convert them."
        )
        return f"var_names are {kinds[0]} such as {names[0]!r} and {kinds[1]} are needed. {fix}"
    if ours and len({n.split(".")[0] for n in names} & {w.split(".")[0] for w in wanted}) > len(names) // 2:
        return "The Ensembl ids differ in their version suffix: strip it with adata.var_names.str.split('.').str[0]."
    if len({n.upper() for n in names} & {w.upper() for w in wanted}) > max(len(set(names) & wanted), len(names) // 10):
        return (
            f"Names agree but for upper and lower case ({names[0]!r}): mouse symbols against human ones, it seems. "
            "Use a vocabulary or gene sets of the same species, or convert orthologs."
        )
    return f"var_names look like {names[:3]}, those needed like {sorted(wanted)[:3]}."


def _is_ensembl(names: Iterable[str]) -> bool:
    names = list(names)[:200]
    return sum(bool(_ENSEMBL.match(name)) for name in names) > len(names) / 2


def _column_of_other_kind(adata: AnnData, *, ensembl: bool) -> str | None:
    for column in adata.var:
        values = adata.var[column]
        if isinstance(values.dtype, pd.CategoricalDtype) or values.dtype == object:
            texts = [str(v) for v in values[:200]]
            if _is_ensembl(texts) == ensembl and len(set(texts)) > len(texts) / 2:
                return str(column)
    return None
