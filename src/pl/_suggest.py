"""What to say of a name that means nothing: names like it, or all that there is."""

from collections.abc import Sequence
from difflib import get_close_matches

import pandas as pd
from anndata import AnnData

from .._errors import MissingError

# p-values bear the names of their scores; an ambiguity with every pathway would help nobody
BY_FULL_NAME_ONLY = ("padj_",)

_MOST = 5
_ALIKE = 0.7
_WORD = 4  # letters from which a name is taken for part of another: many genes are shorter


def missing(adatas: Sequence[AnnData], name: str, *, having: int) -> MissingError:
    """Error of a name that only ``having`` of the AnnData know."""
    if having:
        return MissingError(
            f"color {name!r}",
            found=f"in {having} of {len(adatas)} AnnData, or not the same in all",
            expected="the same column, gene or table in each",
            fix="Leave out the sections without it.",
        )
    alike = near(name, adatas[0])
    fix = f"Did you mean {', '.join(map(repr, alike))}?" if alike else _all_there_is(adatas[0])
    expected = "an obs column, a gene of var_names, or a column of an obsm table"
    return MissingError(f"color {name!r}", found="nothing of this name", expected=expected, fix=fix)


def near(name: str, adata: AnnData) -> list[str]:
    """Names like this one: spelt alike, a word of it (HYPOXIA of HALLMARK_HYPOXIA), or longer ones that hold it."""
    by_lower: dict[str, str] = {}
    for one in _known(adata):
        by_lower.setdefault(one.lower(), one)
    bare = name.rpartition("/")[2].rpartition(":")[2].lower()
    if not bare:
        return []
    alike = get_close_matches(bare, by_lower, n=_MOST, cutoff=_ALIKE)
    words = [one for one in by_lower if len(one) >= _WORD and f"_{one}_" in f"_{bare}_"]
    longer = [one for one in by_lower if bare in one]
    found = dict.fromkeys([*alike, *sorted(words, key=len, reverse=True), *longer])
    return [by_lower[one] for one in found][:_MOST]


def _known(adata: AnnData) -> list[str]:
    columns = [column for table in _tables(adata).values() for column in table]
    return [*map(str, adata.obs), *map(str, columns), *map(str, adata.var_names)]


def _tables(adata: AnnData) -> dict[str, pd.DataFrame]:
    tables = {key: table for key, table in adata.obsm.items() if isinstance(table, pd.DataFrame)}
    return {key: table for key, table in tables.items() if not key.startswith(BY_FULL_NAME_ONLY)}


def _all_there_is(adata: AnnData) -> str:
    sizes = ", ".join(f"{key} ({table.shape[1]} columns)" for key, table in _tables(adata).items())
    return f"Columns of obs: {list(adata.obs)}. Tables in obsm: {sizes or 'none'}."
