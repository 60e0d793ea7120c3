import numpy as np
import pytest
import torch
from anndata import AnnData

import histoscribe as hs
from histoscribe._keys import Keys
from histoscribe.nn import Contrastive, TrainConfig
from histoscribe.nn._pairs import agreement, collapse

NONE = TrainConfig(epochs=1, accelerator="cpu")


def test_collapse_is_told_with_its_cause(adata: AnnData) -> None:
    flat = adata.copy()
    flat.obsm[Keys.X_IMAGE][:] = flat.obsm[Keys.X_IMAGE][0]
    flat.obsm[Keys.X_IMAGE][:, 0] += np.linspace(0, 1, flat.n_obs)
    with pytest.warns(UserWarning, match=r"vectors of the image have collapsed.*go in are alike already"):
        hs.tl.fuse(flat, Contrastive(hidden=0), train=NONE)


def test_healthy_training_says_nothing(adata: AnnData) -> None:
    hs.tl.fuse(adata, Contrastive(), train=NONE)  # warnings are errors here


def test_cause_is_overlap_or_training() -> None:
    drawn = torch.Generator().manual_seed(0)
    good, line = torch.randn(50, 8, generator=drawn), torch.linspace(0, 1, 50)[:, None] * torch.ones(1, 8)
    assert collapse(good, good, {}, 0.0) is None
    assert "max_overlap" in str(collapse(line, good, {"image": good}, 0.95))
    assert "lower lr" in str(collapse(good, line, {"genes": good}, 0.1))
    assert "image and the genes" in str(collapse(line, line, {}, 0.0))


def test_agreement_of_known_pairs() -> None:
    eye = torch.eye(12)
    shuffled = eye.roll(1, dims=0)
    section = torch.arange(12) % 2
    same = agreement([{"image": eye[:6], "genes": eye[:6], "section": section[:6]}])
    assert same["recall_1_image"] == same["recall_10_genes"] == 1.0
    assert same["cosine_gap"] == pytest.approx(1.0)
    assert same["rank_image"] == pytest.approx(5.0, abs=0.1)
    other = agreement([{"image": eye, "genes": shuffled, "section": section}])
    assert other["recall_1_image"] == 0.0
    assert other["cosine_gap"] == pytest.approx(-1 / 11)
