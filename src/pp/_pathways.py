"""Pathway scores: what a spot's genes say together."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import false_discovery_control

from .._counts import raw_counts
from .._errors import GenesError, OptionError
from .._expression import log_cp10k
from .._keys import Keys, slug, valid
from .._record import AnnDatas, Targets, write
from ..datasets import hallmark
from ..io import read_gmt
from ._gene_names import mismatch_hint
from ._ulm import ulm

GeneSets = Mapping[str, Sequence[str]]

_log = logging.getLogger("histoscribe")


def score_pathways(
    adata: AnnDatas,
    gene_sets: str | Path | GeneSets = "hallmark",
    *,
    method: str = "ulm",
    min_genes: int = 5,
    layer: str | None = None,
    key_added: str | None = None,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Score gene sets in every spot, on log1p of counts per 10,000.

    A spot's score depends on that spot alone, so it does not change with the other spots or sections at hand.

    Parameters
    ----------
    adata
        A section, or a list of them.
    gene_sets
        ``"hallmark"`` (human), the path of a GMT file, or a dict of set → genes.
    method
        ``"ulm"``, the t-value of a univariate linear model of expression on membership.
    min_genes
        A set with fewer measured genes can't be scored.
    layer
        Layer with raw counts; by default ``layers["counts"]``, else ``X`` if that holds counts.
    key_added
        Slot to write; by default ``score_`` and the name of the sets (``score_pathways`` for a dict).
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["score_<name>"]`` and ``obsm["padj_<name>"]`` (Benjamini-Hochberg within a spot),
    DataFrames (n, P) float32 with NaN columns for sets that can't be scored, and ``obs["score_<name>_valid"]``, False
    for a spot without counts (its scores are 0).

    Raises
    ------
    CountsError
        No raw counts.
    GenesError
        No set can be scored.

    Warns
    -----
    UserWarning
        Fewer than half of the sets can be scored: gene names of another kind or species, it may be.

    References
    ----------
    Badia-i-Mompel et al. 2022, doi:10.1093/bioadv/vbac016 (ulm); Liberzon et al. 2015 (Hallmark).

    Examples
    --------
    >>> adata = hs.datasets.her2st("C2")
    >>> hs.pp.score_pathways(adata)
    >>> adata.obsm["score_hallmark"]["HYPOXIA"].mean()

    With sets of one's own:

    >>> hs.pp.score_pathways(adata, {"luminal": ["ESR1", "GATA3", "FOXA1", "KRT8", "KRT18"]})
    """
    if method != "ulm":
        raise OptionError("method", found=repr(method), expected="'ulm'", fix="Use ulm.")
    name, sets = _named_sets(gene_sets)
    key = key_added or f"score_{slug(name)}"
    targets = Targets(adata, copy=copy)
    results = [_section_scores(one, sets, min_genes, layer) for one in targets]
    for one, (scores, padj, filled) in zip(targets, results, strict=True):
        unscored = [s for s in scores if scores[s].isna().all()]
        outputs = {Keys.SCORES.renamed(key): scores, Keys.SCORES_PADJ.renamed(_padj_key(key)): padj, valid(key): filled}
        params = {"gene_sets": name, "method": method, "min_genes": min_genes, "layer": layer, "unscored": unscored}
        write(one, outputs, by="pp.score_pathways", params=params, inputs=[Keys.COUNTS.renamed(layer or Keys.COUNTS)])
    return targets.result()


def _padj_key(key: str) -> str:
    return f"padj_{key.removeprefix('score_')}"


def _named_sets(gene_sets: str | Path | GeneSets) -> tuple[str, dict[str, list[str]]]:
    if isinstance(gene_sets, Mapping):
        return "pathways", {str(name): list(genes) for name, genes in gene_sets.items()}
    if str(gene_sets) == "hallmark":
        return "hallmark", hallmark()
    expected = "'hallmark', the path of a GMT file or a dict"
    if not isinstance(gene_sets, (str, Path)):
        fix = "Name a list: {'mine': [...]}."
        raise OptionError("gene_sets", found=type(gene_sets).__name__, expected=expected, fix=fix)
    path = Path(gene_sets)
    if not path.suffix and not path.exists():
        raise OptionError("gene_sets", found=repr(str(gene_sets)), expected=expected, fix="Did you mean 'hallmark'?")
    return path.name.removesuffix(".gz").removesuffix(".gmt"), read_gmt(path)


def _section_scores(
    adata: AnnData, sets: GeneSets, min_genes: int, layer: str | None
) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    counts = raw_counts(adata, layer)
    membership = membership_matrix(list(map(str, adata.var_names)), sets)
    measured = membership.getnnz(axis=0)
    scored = measured >= max(min_genes, 1)
    wanted = {gene for genes in sets.values() for gene in genes}
    if not scored.any():
        raise GenesError(
            "gene_sets",
            found=f"at most {measured.max(initial=0)} measured genes in a set",
            expected=f"{min_genes} or more in some set",
            fix=mismatch_hint(adata, wanted),
        )
    if scored.mean() < 0.5:
        found = f"{int(scored.sum())} of {len(scored)} gene sets have {min_genes} or more measured genes"
        hint = mismatch_hint(adata, wanted)
        warnings.warn(f"Only {found}; the others are NaN. {hint}", UserWarning, stacklevel=4)
    elif not scored.all():
        left = [name for name, ok in zip(sets, scored, strict=True) if not ok]
        _log.info("%d of %d gene sets have too few measured genes: %s", len(left), len(sets), left)
    t, p = ulm(log_cp10k(counts), membership[:, scored])
    names = list(sets)
    scores, padj = (pd.DataFrame(np.nan, adata.obs_names, names, dtype=np.float32) for _ in range(2))
    scores.loc[:, scored] = t.astype(np.float32)
    padj.loc[:, scored] = false_discovery_control(p, axis=1).astype(np.float32)
    return scores, padj, np.diff(counts.indptr) > 0


def membership_matrix(genes: Sequence[str], sets: GeneSets) -> sp.csc_matrix:
    """Genes x sets (g, P), 1 where a gene is in a set."""
    position = {gene: k for k, gene in enumerate(genes)}
    columns = [sorted({position[gene] for gene in members if gene in position}) for members in sets.values()]
    indptr = np.concatenate([[0], np.cumsum([len(c) for c in columns])])
    indices = np.array([k for column in columns for k in column], dtype=np.int64)
    return sp.csc_matrix((np.ones(len(indices)), indices, indptr), shape=(len(genes), len(sets)))
