"""Planted domains on toy sections.

Adjusted Rand index of Gaussian-mixture domains with the planted ones (mean ± SD over five seeds, 400 spots, four domains in
repeated, interleaved patches). *Both show it*: image and genes show all domains. *Split*: the image shows one half of what
makes a domain and the genes the other, so neither tells them apart. *Signal 0*: counts and image are independent of the
domains. `first` counts the domains (of four) whose own pathway has the highest mean score above the
section's mean (split plants have pathways for two).
"""

import warnings

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

import histoscribe as hs

SEEDS = range(5)
PLANTS = {
    "both show it": hs.datasets.Plant(),
    "split": hs.datasets.Plant(split=True),
    "signal 0": hs.datasets.Plant(signal=0.0),
}
ROWS = {
    "coordinates only": "spatial",
    "image (stain_stats, standardised)": "X_scaled",
    "genes (PCA)": "X_genes",
    "first 10 components of either, side by side": "X_side",
    "fused (Contrastive)": "X_fused",
}


def _section(plant: hs.datasets.Plant, seed: int) -> AnnData:
    adata = hs.datasets.toy(plant=plant, random_state=seed)
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "stain_stats")
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata))
    hs.tl.fuse(adata, hs.nn.Contrastive(), train=hs.nn.TrainConfig(random_state=seed))
    hs.pp.score_pathways(adata, adata.uns["truth"]["gene_sets"])
    adata.obsm["X_scaled"] = StandardScaler().fit_transform(adata.obsm["X_image"])
    halves = [PCA(10, random_state=seed).fit_transform(adata.obsm[rep]) for rep in ("X_scaled", "X_genes")]
    adata.obsm["X_side"] = np.hstack([half / half.std() for half in halves])
    return adata


def _first(adata: AnnData) -> int:
    scores, truth = adata.obsm["score_pathways"], adata.obs["true_domain"]
    above = scores.groupby(truth.to_numpy()).mean() - scores.mean()
    return sum(above.loc[d].idxmax() == f"DOMAIN_{d[1:]}" for d in above.index)


def measure() -> pd.DataFrame:
    """Return a row for each representation, a column for each plant."""
    ari: dict[tuple[str, str], list[float]] = {}
    first: dict[str, list[int]] = {}
    for plant_name, plant in PLANTS.items():
        for seed in SEEDS:
            adata = _section(plant, seed)
            first.setdefault(plant_name, []).append(_first(adata))
            for row, rep in ROWS.items():
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    hs.tl.domains_gmm(adata, 4, use_rep=rep, random_state=seed)
                found = hs.metrics.domain_agreement(adata.obs["domain"], adata.obs["true_domain"])["ari"]
                ari.setdefault((row, plant_name), []).append(found)
    table = [(row, *(f"{np.mean(ari[row, p]):.2f} ± {np.std(ari[row, p]):.2f}" for p in PLANTS)) for row in ROWS]
    table.append(("own pathway first (of 4)", *(f"{np.mean(first[p]):.1f}" for p in PLANTS)))
    return pd.DataFrame(table, columns=["representation", *PLANTS])
