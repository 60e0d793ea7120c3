"""Gene names: which genes of a section are the wanted ones, and what to tell the user where few are."""

import logging
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ._errors import GenesError
from ._warn import warn

_ENSEMBL = re.compile(r"^ENS[A-Z]*G\d{6,}(\.\d+)?$")
_SAMPLE = 200  # names looked at to tell their kind
_WARN_BELOW, _ERROR_BELOW = 0.8, 0.2  # share of the counts in the genes that are used

_log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class GeneMatch:
    """Which of the wanted genes each column of a section holds.

    Parameters
    ----------
    position
        Place of each column's gene (g,) among the wanted ones, -1 for a gene that is not wanted.
    taken_from
        Where the names were read: ``"var_names"``, or a column of ``var``.
    n_duplicates
        Columns left out because another one holds the same gene: of each such group, the one whose name in
        ``var_names`` sorts first is kept.
    """

    position: NDArray[np.int64]
    taken_from: str
    n_duplicates: int

    @property
    def found(self) -> NDArray[np.bool_]:
        """Whether each column (g,) holds a wanted gene."""
        return self.position >= 0

    def params(self, n_wanted: int, *, coverage: float) -> dict[str, object]:
        """Say in a record how names were matched; ``coverage`` is the share of the counts in the genes found."""
        return {
            "gene_names": self.taken_from,
            "genes_found": int(self.found.sum()),
            "genes_wanted": n_wanted,
            "duplicates_left_out": self.n_duplicates,
            "coverage": coverage,
        }


def match_genes(adata: AnnData, wanted: Sequence[str]) -> GeneMatch:
    """Find the wanted genes among a section's.

    Surrounding blanks and the version of an Ensembl id (the ``.12`` of ``ENSG00000141510.12``) make no difference;
    upper and lower case do, for they tell species apart. Where ``var_names`` are Ensembl ids and symbols are wanted, or
    the reverse, the column of ``var`` that holds the wanted kind is read, and the log says so.

    Raises
    ------
    GenesError
        Two columns of ``var`` hold names of the wanted kind, and they differ.
    """
    names, source = names_like(adata, wanted)
    position, n_duplicates = _once(positions(names, wanted), adata.var_names)
    if n_duplicates:
        _log.info("%d columns hold a gene that another one holds too (by adata.%s); left out", n_duplicates, source)
    return GeneMatch(position, source, n_duplicates)


def names_like(adata: AnnData, wanted: Sequence[str]) -> tuple[list[str], str]:
    """Names of a section's columns, of the kind that is wanted if there are any, and where they stand."""
    names, ensembl = [str(name).strip() for name in adata.var_names], is_ensembl(wanted)
    if names and wanted and is_ensembl(names) != ensembl:
        column = _column_of_kind(adata, wanted, ensembl=ensembl)
        if column is not None:
            _log.info("var_names are not of the kind that is needed; adata.var[%r] is read instead", column)
            return _texts(adata.var[column]), f"var[{column!r}]"
    return names, "var_names"


def bare_names(names: Sequence[str]) -> list[str]:
    """Names without the versions of Ensembl ids."""
    return [_bare(name) for name in names] if is_ensembl(names) else list(names)


def own_names(adata: AnnData) -> list[str]:
    """Gene names of a section without surrounding blanks and versions of Ensembl ids.

    Raises
    ------
    GenesError
        Two columns have the same name then.
    """
    names = bare_names([str(name).strip() for name in adata.var_names])
    twice = pd.Series(names)[pd.Series(names).duplicated()].unique()[:5].tolist()
    if twice:
        found = f"{twice} twice once blanks and versions are taken off"
        raise GenesError("var_names", found=found, expected="unique gene names", fix="Sum or drop these columns.")
    return names


def positions(names: Sequence[str], wanted: Sequence[str]) -> NDArray[np.int64]:
    """Place of each name among the wanted ones, -1 for none; versions of Ensembl ids make no difference."""
    place = {gene.strip(): k for k, gene in reversed(list(enumerate(wanted)))}
    if not is_ensembl(wanted):
        return np.array([place.get(name, -1) for name in names], dtype=np.int64)
    bare = {_bare(gene): k for gene, k in place.items()}
    return np.array([place.get(name, bare.get(_bare(name), -1)) for name in names], dtype=np.int64)


def _bare(name: str) -> str:
    return name.split(".")[0] if _ENSEMBL.match(name) else name


def _once(position: NDArray[np.int64], var_names: pd.Index) -> tuple[NDArray[np.int64], int]:
    """Keep one column a gene, whatever the order of the columns."""
    by_name = np.argsort(np.asarray(var_names, dtype=str), kind="stable")
    again = pd.Series(position[by_name]).duplicated().to_numpy() & (position[by_name] >= 0)
    position = position.copy()
    position[by_name[again]] = -1
    return position, int(again.sum())


def is_ensembl(names: Iterable[str]) -> bool:
    """Whether most names are Ensembl gene ids."""
    names = list(names)
    names = names[:: max(1, len(names) // _SAMPLE)]
    return sum(bool(_ENSEMBL.match(str(name).strip())) for name in names) > len(names) / 2


def _texts(column: pd.Series) -> list[str]:
    return [str(value).strip() for value in column]


def _column_of_kind(adata: AnnData, wanted: Sequence[str], *, ensembl: bool) -> str | None:
    """Column of var that holds names of the wanted kind and matches more of them than var_names do."""
    own = _n_found(positions([str(name).strip() for name in adata.var_names], wanted))
    matches: dict[str, NDArray[np.int64]] = {}
    for name in adata.var:
        texts = _texts(adata.var[name]) if _holds_text(adata.var[name]) else []
        if texts and is_ensembl(texts) == ensembl:
            match = positions(texts, wanted)
            if _n_found(match) > 2 * own:
                matches[str(name)] = match
    if not matches:
        return None
    first = next(iter(matches))
    if any((match != matches[first]).any() for match in matches.values()):
        found = f"columns {list(matches)} of var, all with names of the kind that is needed, which differ"
        fix = f"Choose one: adata.var_names = adata.var[{first!r}]."
        raise GenesError("var", found=found, expected="one such column", fix=fix)
    return first


def _holds_text(column: pd.Series) -> bool:
    return isinstance(column.dtype, (pd.CategoricalDtype, pd.StringDtype)) or column.dtype == object


def _n_found(position: NDArray[np.int64]) -> int:
    return len(set(position.tolist()) - {-1})


def check_coverage(adata: AnnData, wanted: Sequence[str], n_found: int, coverage: float, *, among: str) -> None:
    """Refuse sections with less than a fifth of their counts in the genes that are used; warn below four fifths.

    ``wanted`` are names to compare with, for the message.
    """
    found = f"{n_found} of {adata.n_vars} genes {among}, {coverage:.0%} of the counts"
    _log.info(found)
    if coverage < _ERROR_BELOW:
        expected = f"at least {_ERROR_BELOW:.0%} of the counts"
        raise GenesError("var_names", found=found, expected=expected, fix=mismatch_hint(adata, wanted))
    if coverage < _WARN_BELOW:
        hint = mismatch_hint(adata, wanted)
        warn(f"Only {found}; the rest is left out. {hint}")


def check_known(n_found: int, n_wanted: int, share: float) -> None:
    """Say how much of what a model learned from a section has; warn where a fifth of it or more is not measured."""
    found = (
        f"{n_found} of the {n_wanted} genes of the model are measured, with {share:.0%} of the counts it learned from"
    )
    _log.info(found)
    if share < _WARN_BELOW:
        hint = "Vectors are made of these alone: after anndata.concat, join='outer' keeps genes that one section lacks."
        warn(f"Only {found}. {hint}")


def other_names(adata: AnnData, adatas: Sequence[AnnData]) -> list[str]:
    """Names of a section to compare a section with where few genes are in both."""
    return list(map(str, adatas[-1 if adata is adatas[0] else 0].var_names))


def shared_genes(adatas: Sequence[AnnData]) -> list[str]:
    """Genes that all sections measure, by the names and in the order of the first.

    Raises
    ------
    GenesError
        There are none, or the first section has two columns of one name.
    """
    wanted = own_names(adatas[0])
    held = [match_genes(one, wanted).position for one in adatas]
    shared = set.intersection(*(set(position.tolist()) for position in held)) - {-1}
    if not shared:
        other = min(zip(held, adatas, strict=True), key=lambda pair: _n_found(pair[0]))[1]
        examples = [list(one.var_names[:2]) for one in (adatas[0], other)]
        fix = mismatch_hint(other, wanted)
        raise GenesError("var_names", found=f"no gene in all sections, as in {examples}", expected="some", fix=fix)
    return [gene for k, gene in enumerate(wanted) if k in shared]


def agree_but_for_case(names: Iterable[str], wanted: Iterable[str]) -> bool:
    """Whether more names are alike in other letters, upper for lower, than as they are: those of another species."""
    names, wanted = set(names), set(wanted)
    alike = len({name.upper() for name in names} & {name.upper() for name in wanted})
    return alike > max(len(names & wanted), min(len(names), len(wanted)) // 10)


def mismatch_hint(adata: AnnData | Sequence[str], wanted: Sequence[str]) -> str:
    """Say why few gene names of ``adata``, or of a list, are among ``wanted``, as far as the names tell."""
    held = adata.var_names if isinstance(adata, AnnData) else adata
    names, wanted = [str(name).strip() for name in held], [gene.strip() for gene in wanted]
    if not names or not wanted:
        return "One of the two lists is empty."
    ours, theirs = is_ensembl(names), is_ensembl(wanted)
    if ours != theirs:
        kinds = ("Ensembl ids", "symbols") if ours else ("symbols", "Ensembl ids")
        fix = "Convert them, or put the other names into a column of adata.var: it is then read."
        fix = fix if isinstance(adata, AnnData) else "Convert them."
        return f"var_names are {kinds[0]} such as {names[0]!r} and {kinds[1]} are needed. {fix}"
    if agree_but_for_case(names, wanted):
        return (
            f"Names agree but for upper and lower case ({names[0]!r}): mouse symbols against human ones, it seems. "
            "Use a vocabulary or gene sets of the same species, or convert orthologs."
        )
    return f"var_names look like {names[:3]}, those needed like {sorted(wanted)[:3]}."
