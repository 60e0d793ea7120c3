"""Alignments of image and genes that the benchmarks compare, and the sections they learn from."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from anndata import AnnData

import histoscribe as hs

C = ("C2", "C3", "C4", "C5", "C6")
TINY = {"img_size": 64, "patch_size": 8, "depth": 3, "embed_dim": 96, "num_heads": 3}
CACHED = hs.nn.TrainConfig(epochs=40)
EPOCHS = 15
PIXELS = hs.nn.TrainConfig(epochs=EPOCHS, batch_size=128, patience=None)
N_COMPS = 30


def her2st(names: Sequence[str]) -> list[AnnData] | None:
    """Sections with patches and regions; None where they are not here."""
    try:
        adatas = [hs.datasets.her2st(name) for name in names]
    except OSError:
        return None
    return _tiled(adatas, 320.0)


def bulb() -> list[AnnData] | None:
    """Four sections of mouse olfactory bulb."""
    try:
        adatas = [hs.datasets.mouse_olfactory_bulb(k) for k in (1, 2, 3, 4)]
    except OSError:
        return None
    return _tiled(adatas, 226.0)


def _tiled(adatas: list[AnnData], radius_um: float) -> list[AnnData]:
    hs.pp.tile(adatas, context=(1, 3))
    hs.pp.spatial_graph(adatas, radius_um=radius_um)
    return adatas


def encoded(adatas: list[AnnData], encoder: Any, key: str) -> None:
    """Write vectors of patches and regions under a name, the latter with ``_x3``."""
    hs.tl.encode_image(adatas, encoder, key_added=key, tiles_key=("tiles", "tiles_x3"))


def random_vit() -> Any:
    """Return a ViT-Ti/16 with random weights."""
    import timm
    import torch

    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0)


def components(train: list[AnnData], others: list[AnnData]) -> None:
    """Write gene components that are fitted on training sections."""
    hs.tl.encode_genes([*train, *others], hs.tl.fit_pca(train, n_comps=N_COMPS))


def cached(
    train: list[AnnData],
    key: str,
    *,
    region: bool,
    seed: int,
    gene_model: hs.nn.Model | None = None,
    **options: Any,
) -> hs.nn.Model:
    """Align vectors of a slot with the genes; with a gene encoder, that is trained further."""
    config = hs.nn.Contrastive(**options)
    reps: dict[str, Any] = {"image_rep": key, "region_rep": f"{key}_x3" if region else None, "gene_model": gene_model}
    return hs.tl.fuse(train, config, **reps, train=replace(CACHED, random_state=seed))


def from_pixels(train: list[AnnData], *, seed: int, losses: tuple[str, ...] | None = None) -> hs.nn.Model:
    """Train a small vision transformer from scratch by the alignment."""
    whole: dict[str, Any] = {"trunk": "full", "trunk_rate": 1.0, "layer_decay": 1.0}
    network: dict[str, Any] = {"encoder": "vit_tiny_patch16_224", "pretrained": False, "encoder_options": TINY}
    config = hs.nn.Contrastive(mode="pixels", losses=losses, **network, **whole)
    return hs.tl.fuse(train, config, train=replace(PIXELS, random_state=seed))


def shuffled(adatas: list[AnnData], key: str) -> list[AnnData]:
    """Copy sections with the image vectors dealt out anew within each."""
    copies = []
    for k, one in enumerate(adatas):
        copy = one.copy()
        order = np.random.default_rng(k).permutation(one.n_obs)
        for slot in (key, f"{key}_x3"):
            copy.obsm[slot] = one.obsm[slot][order]
        copies.append(copy)
    return copies


def pairs(adata: AnnData, model: hs.nn.Model) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of image and genes of a section in the joint space."""
    found = hs.tl.embed(adata, model, copy=True)
    return found.obsm["X_fused_image"], found.obsm["X_fused_genes"]


def recalls(image: np.ndarray, genes: np.ndarray) -> dict[str, float]:
    """Recall at 1 and 10, both ways."""
    ways = {"image to genes": (image, genes), "genes to image": (genes, image)}
    return {f"R@{k}, {way}": hs.metrics.recall_at_k(a, b, k) for k in (1, 10) for way, (a, b) in ways.items()}


def mean_recall(adata: AnnData, model: hs.nn.Model) -> float:
    """Recall at 10, mean of both ways."""
    image, genes = pairs(adata, model)
    return float(np.mean([hs.metrics.recall_at_k(a, b, 10) for a, b in ((image, genes), (genes, image))]))
