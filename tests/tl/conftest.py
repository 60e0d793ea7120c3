"""Sections with vectors that share a part, and domains that take both modalities to tell apart."""

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from histoscribe._keys import Keys, LibraryKeys
from histoscribe.nn import TrainConfig


def section(n: int = 225, *, seed: int = 0, name: str = "S1") -> AnnData:
    """Make a square section, 100 um a step at 0.5 um per pixel; left and right halves look different, top and bottom
    ones express different genes."""
    rng = np.random.default_rng(seed)
    maps = np.random.default_rng(99)
    side = int(np.sqrt(n))
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    n = len(xy)
    of_image, of_genes = (xy[:, 0] >= side / 2).astype(int), (xy[:, 1] >= side / 2).astype(int)
    shared = rng.normal(size=(n, 3))
    image = np.column_stack([shared, 6 * of_image]) @ maps.normal(size=(4, 24)) + 0.3 * rng.normal(size=(n, 24))
    genes = np.column_stack([shared, 6 * of_genes]) @ maps.normal(size=(4, 20)) + 0.3 * rng.normal(size=(n, 20))
    adata = AnnData(np.zeros((n, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"{name}_{i}" for i in range(n)]))
    adata.obs[Keys.LIBRARY_ID] = pd.Categorical([name] * n)
    adata.obs[Keys.TRUE_DOMAIN] = pd.Categorical((2 * of_image + of_genes).astype(str))
    adata.obsm[Keys.SPATIAL] = (xy + 1) * 200
    adata.obsm[Keys.TILES] = np.column_stack([xy * 200 + 88, np.full((n, 2), 224.0)])
    adata.obsm[Keys.X_IMAGE], adata.obsm[Keys.X_GENES] = image.astype(np.float32), genes.astype(np.float32)
    adata.uns[Keys.LIBRARIES] = {name: {LibraryKeys.METADATA: {LibraryKeys.MPP: 0.5}}}
    return adata


@pytest.fixture
def adata() -> AnnData:
    return section()


@pytest.fixture
def quick() -> TrainConfig:
    return TrainConfig(epochs=15, accelerator="cpu")
