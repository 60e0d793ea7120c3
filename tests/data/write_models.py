"""Writes models of today's format: run it once when the format changes, into a new folder, and never over an old one.

``python -m tests.data.write_models``; what it wrote under format 1 must load for ever.
"""

from pathlib import Path

import numpy as np
import scipy.sparse as sp
import torch

from histoscribe.nn import PCA, Contrastive, Model
from histoscribe.nn._save import FORMAT
from histoscribe.nn._seed import seeded

FOLDER = Path(__file__).with_name(f"models_of_format_{FORMAT}")


def write(folder: Path) -> None:
    """Write one model of each class, with weights that are no constants."""
    genes = [f"G{k}" for k in range(6)]
    pca = Model.new(PCA(n_comps=2), {"sizes": {"genes": 6}, "genes": genes})
    pca.module.fit(sp.csr_matrix(np.random.default_rng(0).poisson(5, (30, 6))))
    pca.save(folder / "pca")
    meta = {"sizes": {"image": 3, "genes": 2}, "slots": {"image": "X_image", "genes": "X_genes"}}
    with seeded(0):
        fused = Model.new(Contrastive(dim=4, hidden=4, n_whiten=2), meta)
        for value in fused.module.state_dict().values():
            value.copy_(torch.randn(value.shape))
    fused.history = [{"epoch": 0, "train_loss": 1.5}]
    fused.save(folder / "contrastive")


if __name__ == "__main__":
    if FOLDER.exists():
        msg = f"{FOLDER} is there: old files are what the test is about"
        raise SystemExit(msg)
    write(FOLDER)
