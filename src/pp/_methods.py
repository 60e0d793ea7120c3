"""The ways to score gene sets: ours for ulm, decoupler's for the others, a block of spots at a time."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from numpy.typing import NDArray
from packaging.version import Version
from scipy.stats import false_discovery_control

from .._errors import GenesError, OptionError
from .._expression import log_cp10k
from .._progress import progress
from ._gene_sums import totals
from ._ulm import Universe, ulm

_VALUES_AT_ONCE = 20_000_000  # of a dense block: 160 MB
_DENSE_LIMIT = 200_000_000  # of a whole section, for the method that needs it at once


@dataclass(frozen=True)
class Method:
    """What must be known of a method.

    ``p_values`` says whether it gives them (``"permuted"``: from permutations only), ``alone`` whether a spot's score
    does not depend on the other spots, ``weighted`` whether weights make a difference.
    """

    p_values: bool | str
    alone: bool = True
    weighted: bool = True


METHODS = {
    "ulm": Method(p_values=True),
    "mlm": Method(p_values=True),
    "viper": Method(p_values=True),
    "zscore": Method(p_values=True),
    "waggr": Method(p_values="permuted"),
    "gsea": Method(p_values="permuted", weighted=False),
    "ora": Method(p_values=True, weighted=False),
    "aucell": Method(p_values=False, weighted=False),
    "gsva": Method(p_values=False, alone=False, weighted=False),
}


@dataclass(frozen=True)
class Job:
    """What to score: raw counts (n, g), the weight of each gene in each set (g, P) and the genes to look at.

    ``names`` (g,) put the genes into an order of their own, so that theirs in the counts makes no difference to
    methods that break ties by it.
    """

    counts: sp.csr_matrix
    membership: sp.csr_matrix
    universe: Universe
    names: NDArray[np.str_]
    n_perms: int = 0
    random_state: int = 0


def score_by(method: str, job: Job) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Scores and adjusted p-values (n, P) by a method; no p-values where it gives none. Empty spots: 0 and 1."""
    if method == "ulm":
        return ulm(job.counts, job.membership, job.universe)
    shape = (job.counts.shape[0], job.membership.shape[1])
    gives_p = METHODS[method].p_values
    scores = np.zeros(shape, dtype=np.float32)
    padj = np.ones(shape, dtype=np.float32) if gives_p is True or (gives_p and job.n_perms > 1) else None
    columns = np.flatnonzero(job.universe.inside)
    columns = columns[np.argsort(job.names[columns], kind="stable")]
    net = _as_decoupler(job.membership[columns])
    filled = np.flatnonzero(totals(job.counts, job.universe.inside)[:, 1] > 0)
    for rows in progress(_blocks(method, filled, len(columns)), desc=method, unit="block"):
        block = _expression(job, rows, columns)
        scores[rows], p = _decoupler(method, block, net, shape[1], job)
        if padj is not None:
            padj[rows] = p
    return scores, padj


def _blocks(method: str, rows: NDArray[np.int64], n_genes: int) -> list[NDArray[np.int64]]:
    if METHODS[method].alone:
        at_once = max(1, _VALUES_AT_ONCE // max(n_genes, 1))
        return [rows[k : k + at_once] for k in range(0, len(rows), at_once)]
    if len(rows) * n_genes > _DENSE_LIMIT:
        found = f"{len(rows):,} spots x {n_genes:,} genes"
        fix = "Take a method that scores each spot by itself, such as 'ulm', or fewer spots or genes."
        raise OptionError("method", found=f"{method!r} on {found}", expected="a matrix it can hold dense", fix=fix)
    return [rows] if len(rows) else []


def _expression(job: Job, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Log1p CP10k of some spots, dense; totals are of the genes looked at."""
    values = log_cp10k(sp.csr_matrix(job.counts[rows][:, columns])).toarray()
    return (values - job.universe.means[columns]) / job.universe.sds[columns]


def _as_decoupler(membership: sp.csr_matrix) -> pd.DataFrame:
    held = membership.tocoo()
    names = {"source": _padded(held.col), "target": _padded(held.row)}
    return pd.DataFrame({**names, "weight": held.data})


def _padded(numbers: NDArray[np.integer]) -> list[str]:
    """Names that sort as their numbers."""
    return [f"{k:08d}" for k in numbers.tolist()]


def _decoupler(
    method: str, block: NDArray[np.float64], net: pd.DataFrame, n_sets: int, job: Job
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    options: dict[str, Any] = {}
    if METHODS[method].p_values == "permuted":
        # decoupler takes a seed of 0 for "do not shuffle"; 42 is its default
        options = {"times": job.n_perms if job.n_perms > 1 else 0, "seed": 42 + job.random_state}
    if method == "ora":
        top = max(int(np.ceil(0.05 * block.shape[1])), 2)
        takes_the_rest = Version(version("decoupler")) < Version("2.3")  # all genes but n_up
        options = {"n_up": block.shape[1] - top if takes_the_rest else top}
    if method == "viper":  # the largest rank of a block enters every score: a last row that always has it
        block = np.vstack([block, np.arange(block.shape[1])])
    frame = pd.DataFrame(block, columns=_padded(np.arange(block.shape[1])))
    if method == "gsva":  # a gene without variance has no density
        frame = frame.loc[:, np.ptp(block, axis=0) > 0]
    with _quiet():
        import decoupler

        try:
            es, p = getattr(decoupler.mt, method)(frame, net, tmin=0, empty=False, **options)
        except (AssertionError, np.linalg.LinAlgError) as error:
            fix = "Take another method, or leave out sets that repeat others."
            raise GenesError(
                "gene_sets", found=str(error), expected=f"sets that {method!r} can fit", fix=fix
            ) from error
    sets = _padded(np.arange(n_sets))
    es = es.reindex(columns=sets).to_numpy()
    p = p if p is None else p.reindex(columns=sets).to_numpy()
    if method == "mlm":  # the one method whose p-values decoupler leaves as they are
        p = false_discovery_control(p, axis=1)
    n = len(frame) - (method == "viper")
    return es[:n], p if p is None else p[:n]


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what decoupler and its packages warn of at import."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
