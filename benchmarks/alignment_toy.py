"""Embeddings of planted sections.

`nn.Contrastive` (cached `stain_stats`, gene components) on toy sections of 400 spots where the image shows one half of what makes a
domain and the genes the other, so that neither tells the four apart. *Domains*: adjusted Rand index of Gaussian-mixture
domains with the planted ones, mean ± SD over five seeds. *Half of the spots lack*: the modality is taken from half of the spots,
at random, before training; the fused vector of all spots, and the agreement of two k-means clusters with what is missing (0:
clusters say nothing of it). *Pairs*: recall at 10 on a section of another patient, image to genes, with true pairs and with
tiles dealt out anew within the training section; chance is .025.

The fused vector is ahead of either modality and of the joint space, which keeps what both share and here is hardly anything: the
image's domains are one half of the truth and the genes' the other. Spots do not cluster by what is missing; their domains are then
found no better than with one modality alone, for half of the truth is not there.
"""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
from anndata import AnnData
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

import histoscribe as hs

SEEDS = range(5)
PLANT = hs.datasets.Plant(split=True)
TRAIN = hs.nn.TrainConfig(epochs=40)


def _sections(seed: int) -> list[AnnData]:
    """Two sections of two patients, encoded by what was fitted on the first."""
    both = hs.datasets.toy(n_slides=2, plant=PLANT, random_state=seed)
    hs.pp.tile(both)
    hs.tl.encode_image(both, "stain_stats")
    hs.tl.encode_genes(both, hs.tl.fit_pca(both[0]))
    return both


def _domains(adata: AnnData, x: np.ndarray, seed: int) -> float:
    holder = AnnData(obs=pd.DataFrame(index=adata.obs_names), obsm={"x": x.astype(np.float32)})
    hs.tl.domains_gmm(holder, 4, use_rep="x", random_state=seed)
    return hs.metrics.domain_agreement(holder.obs["domain"], adata.obs["true_domain"])["ari"]


def _embeddings(adata: AnnData) -> dict[str, np.ndarray]:
    image, genes = adata.obsm["X_fused_image"], adata.obsm["X_fused_genes"]
    return {
        "image (stain_stats, standardised)": StandardScaler().fit_transform(adata.obsm["X_image"]),
        "genes (components)": adata.obsm["X_genes"],
        "V: image in the joint space": image,
        "G: genes in the joint space": genes,
        "V and G side by side": np.hstack([image, genes]),
        "F: fused": adata.obsm["X_fused"],
    }


def _lacking(adata: AnnData, modality: str, seed: int) -> tuple[float, float]:
    """Agreement of domains with the truth, and of clusters with what is missing, where half of the spots lack a modality."""
    one = adata.copy()
    gone = np.random.default_rng(seed).random(one.n_obs) < 0.5
    key = {"image": "X_image", "genes": "X_genes"}[modality]
    one.obs[f"{key}_valid"] = ~gone
    one.obsm[key] = np.where(gone[:, None], 0, one.obsm[key]).astype(np.float32)
    hs.tl.fuse(one, hs.nn.Contrastive(), train=replace(TRAIN, random_state=seed))
    labels = KMeans(2, n_init=10, random_state=seed).fit_predict(one.obsm["X_fused"])
    return _domains(one, one.obsm["X_fused"], seed), hs.metrics.domain_agreement(labels, gone)["ari"]


def _recall(train: AnnData, test: AnnData, seed: int, *, shuffle: bool) -> float:
    one = train.copy()
    if shuffle:
        one.obsm["X_image"] = one.obsm["X_image"][np.random.default_rng(seed).permutation(one.n_obs)]
    model = hs.tl.fuse(one, hs.nn.Contrastive(), train=replace(TRAIN, random_state=seed))
    found = hs.tl.embed(test, model, copy=True)
    return hs.metrics.recall_at_k(found.obsm["X_fused_image"], found.obsm["X_fused_genes"], 10)


def measure() -> dict[str, pd.DataFrame]:
    """Return tables of domains, of missing modalities and of pairs."""
    domains: dict[str, list[float]] = {}
    lacking: dict[str, list[tuple[float, float]]] = {}
    recall: dict[str, list[float]] = {}
    for seed in SEEDS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first, second = _sections(seed)
            for name, shuffle in (("true pairs", False), ("shuffled", True)):
                recall.setdefault(name, []).append(_recall(first, second, seed, shuffle=shuffle))
            for modality in ("image", "genes"):
                lacking.setdefault(modality, []).append(_lacking(first, modality, seed))
            hs.tl.fuse(first, hs.nn.Contrastive(), train=replace(TRAIN, random_state=seed))
            for name, x in _embeddings(first).items():
                domains.setdefault(name, []).append(_domains(first, x, seed))
    lines = [
        (f"the {name}", *(_said(column) for column in zip(*found, strict=True))) for name, found in lacking.items()
    ]
    return {
        "Domains": pd.DataFrame(
            [(name, _said(found)) for name, found in domains.items()], columns=["embedding", "ARI"]
        ),
        "Half of the spots lack": pd.DataFrame(
            lines, columns=["what", "ARI with the domains", "ARI with what is missing"]
        ),
        "Pairs": pd.DataFrame(
            [(name, _said(found)) for name, found in recall.items()], columns=["trained on", "recall at 10"]
        ),
    }


def _said(values: object) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"
