"""Pathway scores of one section: names matched, sets checked, spots scored."""

import logging
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import raw_counts
from .._errors import GenesError
from .._gene_names import GeneMatch, match_genes, mismatch_hint, positions
from .._pathway_scale import Net, PathwayScale
from .._warn import warn
from ._gene_sums import covered, totals
from ._methods import Job, score_by
from ._nets import genes_of, membership_matrix
from ._ulm import Universe

_WARN_BELOW, _ERROR_BELOW = 0.8, 0.2  # share of the scale's genes that a section measures
_FEW_SCORED = 0.5  # share of the sets, and of their genes

_log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class Scoring:
    """How to score: the sets, and the options of score_pathways that say how."""

    net: Net
    method: str
    min_genes: int
    layer: str | None
    n_perms: int = 0
    random_state: int = 0
    reference: PathwayScale | None = None


class Scored(NamedTuple):
    """Scores and adjusted p-values (n, P) with NaN columns, which spots have counts, and what the record says."""

    scores: pd.DataFrame
    padj: pd.DataFrame | None
    filled: NDArray[np.bool_]
    params: dict[str, object]


def score_section(adata: AnnData, how: Scoring) -> Scored:
    """Score a section."""
    counts = raw_counts(adata, how.layer)
    universe, membership, depth, params = _prepare(adata, counts, how)
    scored = membership.getnnz(axis=0) >= max(how.min_genes, 1)
    _check_scored(adata, scored, membership, how)
    params["background"] = int(universe.inside.sum())
    names = np.asarray(adata.var_names, dtype=str)
    job = Job(counts, sp.csr_matrix(membership[:, scored]), universe, names, how.n_perms, how.random_state)
    scores, padj = score_by(how.method, job)
    if how.reference is not None:
        scores = how.reference.standardize(scores, depth, columns=scored).astype(np.float32)
        scores[depth == 0] = 0
    unscored = [name for name, ok in zip(how.net, scored, strict=True) if not ok]
    framed = _framed(adata, scores, scored, how.net)
    framed_padj = None if padj is None else _framed(adata, padj, scored, how.net)
    return Scored(framed, framed_padj, depth > 0, {**params, "unscored": unscored})


def _prepare(
    adata: AnnData, counts: sp.csr_matrix, how: Scoring
) -> tuple[Universe, sp.csr_matrix, NDArray[np.float64], dict[str, object]]:
    """Genes to score over, weight of each column in each set, counts of each spot, and what the record says of names."""
    in_net = genes_of(how.net)
    wanted = in_net if how.reference is None else list(how.reference.genes)
    match = match_genes(adata, wanted)
    sums = totals(counts, match.found)
    coverage = covered(sums)
    _log.info("%d of %d genes found, %.0f %% of the counts", match.found.sum(), len(wanted), 100 * coverage)
    params = match.params(len(wanted), coverage=coverage)
    if how.reference is None:
        universe = Universe.plain(np.ones(adata.n_vars, dtype=bool))
        return universe, membership_matrix(match.position, in_net, how.net), sums[:, 0], params
    _check_covered(adata, match.found.sum() / len(wanted), wanted)
    universe = _universe(match, how.reference)
    position = np.where(match.found, positions(wanted, in_net)[match.position], -1)
    return universe, membership_matrix(position, in_net, how.net), sums[:, 1], params


def _universe(match: GeneMatch, reference: PathwayScale) -> Universe:
    at = match.position[match.found]
    means, sds = np.zeros(len(match.position)), np.ones(len(match.position))
    means[match.found], sds[match.found] = reference.means[at], reference.sds[at]
    return Universe(match.found, means, sds)


def _check_covered(adata: AnnData, share: float, wanted: list[str]) -> None:
    found = f"{share:.0%} of the {len(wanted)} genes of the scale"
    if share < _ERROR_BELOW:
        expected = f"at least {_ERROR_BELOW:.0%}"
        raise GenesError("var_names", found=found, expected=expected, fix=mismatch_hint(adata, wanted))
    if share < _WARN_BELOW:
        hint = mismatch_hint(adata, wanted)
        warn(f"Only {found}; scores compare less well. {hint}")


def _check_scored(adata: AnnData, scored: NDArray[np.bool_], membership: sp.csr_matrix, how: Scoring) -> None:
    if not scored.any():
        most = membership.getnnz(axis=0).max(initial=0)
        raise GenesError(
            "gene_sets",
            found=f"at most {most} measured genes in a set, such as {list(how.net)[:3]}",
            expected=f"{how.min_genes} or more in some set",
            fix=mismatch_hint(adata, genes_of(how.net)),
        )
    warn_if_few(adata, membership, how)
    if left := [name for name, ok in zip(how.net, scored, strict=True) if not ok]:
        _log.info("%d of %d gene sets have too few measured genes: %s", len(left), len(scored), left)


def warn_if_few(adata: AnnData, membership: sp.csr_matrix, how: Scoring) -> None:
    """Warn where most sets, or most of their genes, are not measured: other names or species, or a small panel."""
    sizes, wanted = membership.getnnz(axis=0), genes_of(how.net)
    scored, measured = int((sizes >= how.min_genes).sum()), int((membership.getnnz(axis=1) > 0).sum())
    if scored < _FEW_SCORED * len(sizes):
        found = f"{scored} of {len(sizes)} gene sets have {how.min_genes} or more measured genes; the others are NaN"
    elif how.reference is None and measured < _FEW_SCORED * len(wanted):
        found = f"{measured} of the {len(wanted)} genes of the sets are measured; scores stand for these alone"
    else:
        return
    warn(f"Only {found}. {mismatch_hint(adata, wanted)}")


def _framed(adata: AnnData, values: NDArray[np.float32], scored: NDArray[np.bool_], net: Net) -> pd.DataFrame:
    if not scored.all():
        wide = np.full((len(values), len(net)), np.nan, dtype=np.float32)
        wide[:, scored] = values
        values = wide
    return pd.DataFrame(values, adata.obs_names, list(net), copy=False)
