"""Sections of several patients with vectors, labels and counts that share a planted part."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from anndata import AnnData

from histoscribe._keys import Keys, LibraryKeys

CLASSES = ("a", "b", "c")
N_GENES = 30


def section(name: str, patient: str, *, n: int = 81, signal: float = 1.0, d: int = 6, seed: int = 0) -> AnnData:
    """Make a square section, 100 um a step: labels and counts follow two hidden numbers that the vectors hold too."""
    rng = np.random.default_rng([seed, *name.encode()])
    maps = np.random.default_rng(7)
    to_x, to_genes = maps.normal(size=(2, d)), maps.normal(size=(2, N_GENES))
    side = int(np.sqrt(n))
    hidden = rng.normal(size=(n, 2))
    labels = np.array(CLASSES)[np.digitize(hidden[:, 0], [-0.6, 0.6])]
    rate = np.exp(1 + 0.8 * hidden @ to_genes * signal)
    counts = rng.poisson(rate).astype(np.float32)
    obs = pd.DataFrame({Keys.LIBRARY_ID: pd.Categorical([name] * n), Keys.PATIENT: pd.Categorical([patient] * n)})
    adata = AnnData(counts, obs=obs.set_index(pd.Index([f"{name}_{i}" for i in range(n)])))
    adata.var_names = [f"G{k:02d}" for k in range(N_GENES)]
    adata.obs["label"] = pd.Categorical(labels)
    x = signal * hidden @ to_x + 0.2 * rng.normal(size=(n, d)) + 50
    adata.obsm[Keys.X_IMAGE] = x.astype(np.float32)
    adata.obsm[Keys.SPATIAL] = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2) * 200.0
    adata.uns[Keys.LIBRARIES] = {name: {LibraryKeys.METADATA: {LibraryKeys.MPP: 0.5}}}
    return adata


def cohort(patients: Sequence[str] = "PQRS", **options: float) -> list[AnnData]:
    """Make a section for each patient."""
    return [section(f"{patient}1", patient, **options) for patient in patients]  # type: ignore[arg-type]
