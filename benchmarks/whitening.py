"""Whitening of the fused vector.

How `nn.Contrastive` weighs the components of each modality in the fused vector, on toy sections: adjusted Rand index of
Gaussian-mixture / Leiden domains with the planted ones, mean over five seeds. Component j, of variance λ_j, gets the variance
(λ_j - σ²) / (λ_j + s·λ_1), with the noise σ² at the median variance; s = 0 without noise is plain whitening.
"""

import math
import warnings

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs
from histoscribe.nn.layers import Whiten

PLANTS = {
    "both show it": hs.datasets.Plant(),
    "both, signal 0.5": hs.datasets.Plant(signal=0.5),
    "split": hs.datasets.Plant(split=True),
    "split, no link": hs.datasets.Plant(split=True, n_links=0),
    "split, 6 domains": hs.datasets.Plant(split=True, n_domains=6, n_links=0),
}
WAYS = [(0.0, False), (0.2, False), (1.0, False), (0.2, True), (0.5, True), (1.0, True)]


def _section(plant: hs.datasets.Plant, seed: int) -> AnnData:
    adata = hs.datasets.toy(plant=plant, random_state=seed)
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "stain_stats")
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata))
    return adata


def _agreement(adata: AnnData, shrinkage: float, *, noise: bool) -> tuple[float, float]:
    Whiten.shrinkage, Whiten.least_for_noise = shrinkage, 20 if noise else math.inf
    # The fused vector is made of the whitened inputs: how long the heads train does not matter to it.
    hs.tl.fuse(adata, hs.nn.Contrastive(), train=hs.nn.TrainConfig(epochs=1, val_fraction=0))
    truth = adata.obs["true_domain"]
    found = []
    for domains in (hs.tl.domains_gmm, hs.tl.domains_leiden):
        domains(adata, n_domains=truth.nunique())
        found.append(hs.metrics.domain_agreement(adata.obs["domain"], truth)["ari"])
    return found[0], found[1]


def measure() -> pd.DataFrame:
    """Return a row for each way, a column for each plant."""
    kept = Whiten.shrinkage, Whiten.least_for_noise
    ari: dict[tuple[float, bool], dict[str, list[tuple[float, float]]]] = {way: {} for way in WAYS}
    try:
        for name, plant in PLANTS.items():
            for seed in range(5):
                adata = _section(plant, seed)
                for way in WAYS:
                    with warnings.catch_warnings():
                        warnings.simplefilter("ignore")
                        ari[way].setdefault(name, []).append(_agreement(adata, way[0], noise=way[1]))
    finally:
        Whiten.shrinkage, Whiten.least_for_noise = kept
    rows = []
    for (shrinkage, noise), found in ari.items():
        means = [np.mean(found[name], axis=0) for name in PLANTS]
        cells = [f"{gmm:.2f} / {leiden:.2f}" for gmm, leiden in [*means, np.mean(means, axis=0)]]
        rows.append((f"{shrinkage:g}", "subtracted" if noise else "kept", *cells))
    return pd.DataFrame(rows, columns=["s", "noise", *PLANTS, "mean"])
