"""Sections to spoil: a small one with everything on it, made once and copied."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

import histoscribe as hs

from ..toys import cached_toy


@cache
def _prepared() -> AnnData:
    adata = plain()
    hs.pp.tile(adata)
    hs.pp.tokenize_genes(adata, vocabulary(), n_tokens=50)
    hs.pp.spatial_graph(adata)
    hs.tl.encode_image(adata, "mean_rgb", cache=False)
    hs.tl.encode_genes(adata, pca())
    return adata


def many_spots() -> AnnData:
    """A section of 100 spots: enough to check their registration."""
    adata: AnnData = cached_toy(n_spots=100, n_genes=200)
    return adata


def plain() -> AnnData:
    """A planted section of 60 spots and 200 genes: counts, positions and image."""
    adata: AnnData = cached_toy(n_spots=60, n_genes=200)
    return adata


def prepared() -> AnnData:
    """The same with tiles, tokens, graph, image and gene vectors."""
    return _prepared().copy()


def halved() -> AnnData:
    """The same with a column that cuts the section in two, for probes."""
    adata = prepared()
    left = adata.obsm["spatial"][:, 0] < np.median(adata.obsm["spatial"][:, 0])
    adata.obs["half"] = pd.Categorical(np.where(left, "left", "right"))
    return adata


@cache
def vocabulary() -> hs.pp.Vocabulary:
    """Vocabulary of the plain section."""
    return hs.pp.fit_vocabulary(plain())


@cache
def pathway_scale() -> hs.pp.PathwayScale:
    """Scale of the planted gene sets, fitted on the plain section."""
    return hs.pp.fit_pathway_scale(plain(), gene_sets())


@cache
def pca() -> hs.nn.Model:
    """Gene encoder of the plain section."""
    return hs.tl.fit_pca(plain(), n_comps=8)


SMALL: dict[str, Any] = {"dim": 8, "depth": 1, "heads": 2, "hidden": 8, "n_tokens": 50, "intrinsic_share": 0}
SHORT: dict[str, Any] = {"epochs": 1, "val_fraction": 0, "batch_size": 64, "accelerator": "cpu"}


@cache
def token_model() -> hs.nn.Model:
    """Gene encoder over tokens of the plain section."""
    return hs.tl.pretrain_genes(plain(), hs.nn.GeneEncoder(**SMALL), train=hs.nn.TrainConfig(**SHORT))


def gene_sets() -> dict[str, list[str]]:
    """Gene sets that were planted in the plain section."""
    sets: dict[str, list[str]] = plain().uns["truth"]["gene_sets"]
    return sets
