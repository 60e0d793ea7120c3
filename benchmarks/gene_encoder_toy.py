"""Gene encoder on planted domains.

Adjusted Rand index of k-means with the planted domains (mean ± SD over five sections of 600 spots, four interleaved domains
in patches of three spots). *Scattered*: three more programmes differ from spot to spot without a pattern. *Neighbourhood*:
a programme follows another one's mean in the neighbouring spots, besides. *Signal 0*: counts are independent of all this.
`GeneEncoder.tiny` of width 32 on the first 100 genes, by residuals against the section's own shares, five epochs; it learns
from the spot itself (IGR), or from its neighbours too (CGR, set). *Ring average*: half of a spot's vector, half of the mean
of the six around it. Components are of log1p CP10k, 30 of them.
"""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from sklearn.cluster import KMeans

import histoscribe as hs

SEEDS = range(5)
PLANTS = {
    "scattered": hs.datasets.Plant(n_links=0, n_scattered=3),
    "neighbourhood": hs.datasets.Plant(n_links=0, n_scattered=3, n_niches=1),
    "signal 0": hs.datasets.Plant(signal=0.0, n_links=0, n_scattered=3, n_niches=1),
}
OBJECTIVES = {"IGR": None, "IGR + CGR": "cgr", "IGR + set": "set"}
OPTIONS = {"dim": 32, "heads": 2, "n_tokens": 100, "intrinsic_share": 0.2}
TRAIN = {"epochs": 5, "batch_size": 72, "val_fraction": 0.0}


def _averaged(adata: AnnData, x: np.ndarray) -> np.ndarray:
    near = sp.csr_matrix(adata.obsp["spatial_connectivities"] > 0).astype(float)
    return (x + near @ x / np.maximum(np.asarray(near.sum(axis=1)), 1)) / 2


def _ari(adata: AnnData, x: np.ndarray, seed: int) -> float:
    truth = adata.obs["true_domain"]
    found = KMeans(truth.nunique(), n_init=10, random_state=seed).fit_predict(x)
    return float(hs.metrics.domain_agreement(found, truth)["ari"])


def _scores(plant: hs.datasets.Plant, seed: int) -> dict[str, float]:
    adata = hs.datasets.toy(n_spots=600, n_genes=400, plant=plant, random_state=seed)
    hs.pp.spatial_graph(adata)
    models = {"PCA": hs.tl.fit_pca(adata, n_comps=30)}
    for name, context in OBJECTIVES.items():
        config = hs.nn.GeneEncoder.tiny(context=context, **OPTIONS)
        train = hs.nn.TrainConfig(random_state=seed, **TRAIN)
        models[name] = hs.tl.pretrain_genes(adata, config, rank="section", train=train)
    scores = {}
    for name, model in models.items():
        hs.tl.encode_genes(adata, model)
        x = adata.obsm["X_genes"]
        scores[name] = _ari(adata, x, seed)
        scores[f"{name}, ring average"] = _ari(adata, _averaged(adata, x), seed)
    return scores


def measure() -> pd.DataFrame:
    """Return a row for each representation, a column for each plant."""
    columns = {}
    for name, plant in PLANTS.items():
        found = pd.DataFrame([_scores(plant, seed) for seed in SEEDS])
        columns[name] = [f"{mean:.2f} ± {sd:.2f}" for mean, sd in zip(found.mean(), found.std(ddof=0), strict=True)]
    return pd.DataFrame({"representation": found.columns, **columns})
