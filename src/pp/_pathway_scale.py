"""Learn what pathway scores are measured against, so that they mean the same on every slide."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._counts import raw_counts
from .._errors import GenesError, OptionError
from .._gene_names import bare_names, check_coverage, mismatch_hint, names_like, other_names, positions
from .._pathway_scale import PathwayScale
from .._record import AnnDatas, each
from .._types import check_types
from ._gene_sums import log_sums, totals
from ._methods import METHODS, Job, score_by
from ._nets import GeneSets, genes_of, membership_matrix, named_net
from ._scores import Scoring, warn_if_few
from ._ulm import Universe

_LEAST_FOUND = 0.01  # share of the training spots; a gene found in fewer has no standard deviation to speak of
_THINNED = (1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # shares of the counts at which scores are taken
_LEAST_SD = 1e-6
_SPOTS_THINNED = 5000  # enough for a mean and a standard deviation to 1.5 %


def fit_pathway_scale(
    adatas: AnnDatas,
    gene_sets: GeneSets = "hallmark",
    *,
    method: str = "ulm",
    min_genes: int = 5,
    layer: str | None = None,
    random_state: int = 0,
) -> PathwayScale:
    """Learn the scale on which pathway scores compare across slides.

    A score of :func:`score_pathways` depends on which genes a slide measures, on how strongly its technology sees each
    of them, and on how deeply each spot is sequenced. The scale fixes these: scores are taken over the genes that all
    training sections measure (and find in 1 % of their spots), of expression in standard deviations from each gene's
    training mean, and are given in standard deviations from the training mean *at the depth of the spot*. That mean is
    known because the training counts are thinned to a half, a quarter, an eighth and a sixteenth and scored again.

    Scores of a slide are not centred by that slide: what is different between slides stays different, as it would not
    with z-scores per slide. The scale can't tell a technology from biology, so fit it on sections of the technology
    that it is used on, and, for several, one scale each on comparable tissue. Fit it on training patients only.

    Parameters
    ----------
    adatas
        Training sections.
    gene_sets
        As for :func:`score_pathways`.
    method
        As for :func:`score_pathways`, but for ``"gsva"``, whose scores have no meaning beyond a section.
    min_genes
        A set with fewer genes in the scale can't be scored.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.
    random_state
        Seed of the thinning.

    Returns
    -------
    The scale, for ``score_pathways(..., reference=scale)``; ``to_json`` and ``PathwayScale.from_json`` keep it.

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        The sections share no genes, or no set can be scored.
    OptionError
        An unknown method or form of gene sets; fewer than two spots with counts.

    Warns
    -----
    UserWarning
        Fewer than half of the sets can be scored, or fewer than half of their genes are in the scale.

    Examples
    --------
    >>> slides = hs.datasets.toy(n_slides=4)
    >>> scale = hs.pp.fit_pathway_scale(slides[:3], slides[0].uns["truth"]["gene_sets"])
    >>> hs.pp.score_pathways(slides[3], reference=scale)
    """
    check_types(fit_pathway_scale, locals())
    known = [name for name, kind in METHODS.items() if kind.alone]
    check("method", method, method in known, f"one of {known}")
    check("min_genes", min_genes, is_count(min_genes), "1 or more")
    name, net = named_net(gene_sets)
    sections = each(adatas)
    wanted = genes_of(net)
    counts, genes = _joined(sections, wanted, layer)
    genes, counts, means, sds, n_spots = _measured(counts, genes)
    membership = membership_matrix(positions(genes, wanted), wanted, net)
    scored = membership.getnnz(axis=0) >= min_genes
    if not scored.any():
        found = f"at most {membership.getnnz(axis=0).max(initial=0)} genes of the scale in a set of {list(net)[:3]}"
        fix = mismatch_hint(sections[0], wanted)
        raise GenesError("gene_sets", found=found, expected=f"{min_genes} or more in some set", fix=fix)
    warn_if_few(sections[0], membership, Scoring(net, method, min_genes, layer))
    universe = Universe(np.ones(len(genes), dtype=bool), means, sds)
    job = Job(counts, sp.csr_matrix(membership[:, scored]), universe, np.array(genes))
    depths, found_means, found_sds = _levels(method, job, random_state)
    shape = (len(depths), len(net))
    score_means, score_sds = np.full(shape, np.nan), np.full(shape, np.nan)
    score_means[:, scored], score_sds[:, scored] = found_means, found_sds
    return PathwayScale(
        name=name,
        net=net,
        method=method,
        min_genes=min_genes,
        genes=tuple(genes),
        means=means,
        sds=sds,
        depths=depths,
        score_means=score_means,
        score_sds=score_sds,
        n_spots=n_spots,
    )


def _joined(sections: Sequence[AnnData], wanted: list[str], layer: str | None) -> tuple[sp.csr_matrix, list[str]]:
    """Stack the counts of the genes that all sections have, by the kind of names that the sets use, in their order."""
    whole = [raw_counts(one, layer) for one in sections]
    columns = [_columns(one, wanted) for one in sections]
    genes = sorted(set.intersection(*map(set, columns)))
    if not genes:
        found = f"no gene in all sections, as in {[list(some)[:2] for some in columns[:2]]}"
        fix = mismatch_hint(list(columns[-1]), list(columns[0]))
        raise GenesError("var_names", found=found, expected="some", fix=fix)
    parts = []
    for one, own, column in zip(sections, whole, columns, strict=True):
        part = own[:, [column[gene] for gene in genes]]
        coverage = float(part.sum() / max(own.sum(), 1)) if own.nnz else 1.0
        others = other_names(one, sections)
        check_coverage(one, others, len(genes), coverage, among="in all sections")
        parts.append(part)
    counts = sp.csr_matrix(sp.vstack(parts))
    counts.sort_indices()  # thinning draws in the order of storage, which must not be that of the section's columns
    return counts, genes


def _columns(adata: AnnData, wanted: list[str]) -> dict[str, int]:
    """Column of each gene; of columns with one name, the first by var_names."""
    names = bare_names(names_like(adata, wanted)[0])
    order = np.argsort(np.asarray(adata.var_names, dtype=str), kind="stable")[::-1]
    return {names[k]: int(k) for k in order if names[k]}


def _measured(
    counts: sp.csr_matrix, genes: list[str]
) -> tuple[list[str], sp.csr_matrix, NDArray[np.float64], NDArray[np.float64], int]:
    """Leave out genes that are hardly ever found; then means and standard deviations of the others."""
    inside = counts.getnnz(axis=0) >= max(_LEAST_FOUND * counts.shape[0], 2)
    counts = sp.csr_matrix(counts[:, inside])
    sums = log_sums(counts, np.ones(counts.shape[1], dtype=bool))
    if sums.n_spots < 2 or not counts.shape[1]:
        found = f"{sums.n_spots} spots with counts and {counts.shape[1]} genes found in 1 % of them"
        raise OptionError("adatas", found=found, expected="two spots and some genes", fix="Pass more sections.")
    means = sums.values / sums.n_spots
    variance = sums.squares / sums.n_spots - means**2
    sds = np.sqrt(np.maximum(variance, 1e-6))
    return [g for g, ok in zip(genes, inside, strict=True) if ok], counts, means, sds, sums.n_spots


def _levels(
    method: str, job: Job, random_state: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Typical depth, and mean and sd of the scores of each set, of the training spots at each share of their counts."""
    everything = np.ones(job.counts.shape[1], dtype=bool)
    rng = np.random.default_rng(random_state)
    some = np.sort(rng.permutation(job.counts.shape[0])[:_SPOTS_THINNED])
    depths: list[float] = []
    means, sds = [], []
    for share in _THINNED:
        counts = job.counts if share == 1 else _thinned(job.counts[some], share, rng)
        depth = totals(counts, everything)[:, 1]
        scores = score_by(method, replace(job, counts=counts))[0][depth > 0].astype(np.float64)
        if len(scores) < 2 or (depths and np.median(depth[depth > 0]) <= depths[-1]):
            continue
        depths.append(float(np.median(depth[depth > 0])))
        means.append(scores.mean(axis=0))
        sds.append(np.maximum(scores.std(axis=0), _LEAST_SD))
    return np.array(depths), np.array(means), np.array(sds)


def _thinned(counts: sp.csr_matrix, share: float, rng: np.random.Generator) -> sp.csr_matrix:
    """Keep each count with a probability: what shallower sequencing of the same spots would have found."""
    data = rng.binomial(np.rint(counts.data).astype(np.int64), share)
    thinned = sp.csr_matrix((data, counts.indices.copy(), counts.indptr.copy()), shape=counts.shape)
    thinned.eliminate_zeros()
    return thinned
