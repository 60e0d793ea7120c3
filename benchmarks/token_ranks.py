"""Token ranks.

How well two halves of a spot's counts agree on its first tokens. Each molecule is dealt to one of two halves with equal
chance (binomial thinning) and both are tokenised. Overlap is the share of the first k tokens of one half that are among
those of the other, corrected for chance: 0 is what k genes drawn at random from those found in each half share, 1 is the
same genes. *Mean* is the anomaly rank of the reference; *residual* ranks by Pearson residuals. The vocabulary is fitted on
other patients (her2st), on the other sections (bulb), or on the section itself, where there is only one (Visium, mouse).
Spots with fewer than k genes in either half have no first k and are left out. Mean over spots of a section, then over
sections ± SD over sections; SD over three thinnings beside. *Seen once*: the share of the first k tokens whose gene has a
single molecule in the half.
"""

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._vocabulary import FIRST_GENE, PAD, Vocabulary

SEEDS, FIRST, RANKS = range(3), (100, 500), ("mean", "residual")
HER2ST = [*(f"{patient}{k}" for patient in "ABCD" for k in range(1, 7)), *(f"{p}{k}" for p in "EF" for k in (1, 2, 3))]


def _sets() -> dict[str, list[tuple[AnnData, list[AnnData]]]] | None:
    """Sections, each with those that its vocabulary is fitted on."""
    visium = Path(os.environ.get("HISTOSCRIBE_DATA", "")) / "visium_mouse_cytassist"
    try:
        her2st = {name: hs.datasets.her2st(name) for name in HER2ST}
        bulb = [hs.datasets.mouse_olfactory_bulb(k) for k in (1, 2, 3, 4)]
    except OSError:
        return None
    sets = {
        "her2st": [(one, [her2st[k] for k in HER2ST if k[0] != name[0]]) for name, one in her2st.items()],
        "mouse olfactory bulb": [(one, [other for other in bulb if other is not one]) for one in bulb],
    }
    if visium.is_dir():
        section = hs.io.read_visium(visium)
        sets["Visium CytAssist, mouse"] = [(section, [section])]
    return sets


def _halves(adata: AnnData, seed: int) -> list[AnnData]:
    counts = sp.csr_matrix(adata.layers["counts"]).astype(np.int64)
    first = counts.copy()
    first.data = np.random.default_rng(seed).binomial(counts.data, 0.5)
    halves = [first, sp.csr_matrix(counts - first)]
    for half in halves:
        half.eliminate_zeros()
    return [AnnData(half, obs=adata.obs[[]], var=adata.var[[]]) for half in halves]


def _agreement(halves: list[AnnData], vocabulary: Vocabulary, rank: str) -> dict[int, tuple[float, float]]:
    """Overlap above chance and share seen once of the first k tokens, mean over spots that have so many in both."""
    ranked = [_ranked(half, vocabulary, rank) for half in halves]
    found: dict[int, list[tuple[float, float]]] = {k: [] for k in FIRST}
    for (one, counts), (other, _) in zip(*ranked, strict=True):
        both = len(np.intersect1d(one, other, assume_unique=True))
        for k in FIRST:
            if min(len(one), len(other)) > k:
                chance = k * both / (len(one) * len(other))
                shared = len(np.intersect1d(one[:k], other[:k], assume_unique=True)) / k
                found[k].append(((shared - chance) / (1 - chance), float((counts[:k] == 1).mean())))
    return {k: tuple(np.mean(values, axis=0)) if values else (np.nan, np.nan) for k, values in found.items()}


def _ranked(half: AnnData, vocabulary: Vocabulary, rank: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Genes of each spot by rank, as columns of the half, and their counts."""
    n_genes = int(np.diff(half.X.indptr).max())
    hs.pp.tokenize_genes(half, vocabulary, n_tokens=n_genes, rank=rank)
    column = np.full(vocabulary.n_tokens, -1)
    position = vocabulary.index(map(str, half.var_names))
    column[FIRST_GENE + position[position >= 0]] = np.flatnonzero(position >= 0)
    ranked = []
    for row, tokens in enumerate(half.obsm["gene_tokens"]):
        genes = column[tokens[tokens != PAD]]
        ranked.append((genes, half.X[row].toarray().ravel()[genes]))
    return ranked


def _measured(sets: dict[str, list[tuple[AnnData, list[AnnData]]]]) -> pd.DataFrame:
    lines = []
    for name, sections in sets.items():
        fitted: dict[tuple[int, ...], Vocabulary] = {}
        for number, (adata, train) in enumerate(sections):
            key = tuple(map(id, train))
            if key not in fitted:
                fitted[key] = hs.pp.fit_vocabulary(train)
            for seed in SEEDS:
                halves = _halves(adata, seed)
                for rank in RANKS:
                    for k, (overlap, once) in _agreement(halves, fitted[key], rank).items():
                        lines.append((name, number, seed, rank, k, overlap, once))
    return pd.DataFrame(lines, columns=["data", "section", "seed", "rank", "k", "overlap", "once"])


def measure() -> pd.DataFrame | None:
    """Return a row for each data set and number of tokens, a column for each rank."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sets = _sets()
        if sets is None:
            return None
        frame = _measured(sets).dropna()
    lines = []
    for (name, k), part in frame.groupby(["data", "k"], sort=False):
        by_section = part.groupby(["rank", "section"])["overlap"].mean()
        by_seed = part.groupby(["rank", "seed"])["overlap"].mean()
        n = part["section"].nunique()
        line = {"data": name, "sections": n, "first tokens": k}
        for rank in RANKS:
            sd = f" ± {by_section[rank].std(ddof=0):.2f}" if n > 1 else ""
            line[f"{rank} rank"] = f"{by_section[rank].mean():.2f}{sd}"
        line["residual higher in"] = f"{(by_section['residual'] > by_section['mean']).sum()} of {n}"
        once = part.groupby("rank")["once"].mean()
        line["seen once: mean / residual"] = " / ".join(f"{once[rank]:.2f}" for rank in RANKS)
        line["SD over thinnings"] = f"{max(by_seed[rank].std(ddof=0) for rank in RANKS):.3f}"
        lines.append(line)
    return pd.DataFrame(lines)
