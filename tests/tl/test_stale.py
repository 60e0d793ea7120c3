from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from PIL import Image

import histoscribe as hs
from histoscribe._errors import OptionError, ScaleError

from ..toys import cached_toy

QUICK = hs.nn.TrainConfig(epochs=1, val_fraction=0)


@pytest.fixture(scope="module")
def encoded() -> AnnData:
    adata = cached_toy(n_spots=60, n_genes=200)
    (entry,) = adata.uns["spatial"].values()
    hs.io.link_image(adata, entry["images"]["hires"], mpp=entry["metadata"]["mpp"])
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "mean_rgb", cache=False)
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata, n_comps=8))
    return adata


def _fuse(adata: AnnData, **reps: Any) -> None:
    hs.tl.fuse(adata, hs.nn.Contrastive(), train=QUICK, **reps)


def test_tiles_made_anew_make_vectors_old(encoded: AnnData) -> None:
    adata = encoded.copy()
    hs.pp.tile(adata)
    _fuse(adata)  # the same tiles: nothing to say
    hs.pp.tile(adata, size_um=120)
    with pytest.warns(UserWarning, match=r"other tiles in obsm\['tiles'\] than there are now"):
        _fuse(adata)
    hs.tl.encode_image(adata, "mean_rgb", cache=False)
    _fuse(adata)


def test_another_image_makes_vectors_old(encoded: AnnData, tmp_path: Path) -> None:
    adata = encoded.copy()
    (entry,) = adata.uns["spatial"].values()
    pixels, mpp = entry["images"]["hires"], entry["metadata"]["mpp"]
    for name, held in (("one.png", pixels), ("other.png", pixels[::-1])):
        Image.fromarray(held).save(tmp_path / name)
    hs.io.link_image(adata, tmp_path / "one.png", mpp=mpp)
    hs.tl.encode_image(adata, "mean_rgb", cache=False)
    _fuse(adata)
    hs.io.link_image(adata, tmp_path / "other.png", mpp=mpp)
    with pytest.warns(UserWarning, match="another image of section 'toy_1' than there is now"):
        _fuse(adata)


def test_spots_left_out_make_nothing_old(encoded: AnnData) -> None:
    _fuse(encoded[10:].copy())


@pytest.mark.parametrize(
    ("reps", "wrong"),
    [
        ({"image_rep": "X_genes", "gene_rep": "X_image"}, "tl.encode_genes"),
        ({"image_rep": "scvi", "gene_rep": "X_image"}, "tl.encode_image"),
        ({"gene_rep": "spatial"}, "positions"),
        ({"image_rep": "tiles"}, "boxes"),
        ({"image_rep": "scvi", "gene_rep": "scvi"}, "two modalities"),
    ],
)
def test_slots_of_something_else_are_refused(encoded: AnnData, reps: dict[str, str], wrong: str) -> None:
    adata = encoded.copy()
    adata.obsm["scvi"] = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    with pytest.raises(OptionError, match=wrong):
        _fuse(adata, **reps)


def test_vectors_of_other_tools_are_taken(encoded: AnnData) -> None:
    adata = encoded.copy()
    adata.obsm["scvi"] = np.random.default_rng(0).normal(size=(60, 5)).astype(np.float32)
    _fuse(adata, gene_rep="scvi")
    assert adata.obsm["X_fused"].shape[0] == 60


def test_token_ids_are_no_vectors(encoded: AnnData) -> None:
    adata = encoded.copy()
    hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=20)
    with pytest.raises(OptionError, match="names of genes"):
        hs.tl.domains_gmm(adata, 3, use_rep="gene_tokens")


def test_one_section_twice_is_refused(encoded: AnnData) -> None:
    with pytest.raises(OptionError, match="the same AnnData twice"):
        hs.tl.domains_gmm([encoded, encoded], 3, use_rep="X_genes")
    patients = [encoded.copy(), encoded.copy()]
    for name, one in zip("pq", patients, strict=True):
        one.obs["patient"] = name
    with pytest.raises(OptionError, match="the same vectors in 'p' and in 'q'"):
        hs.tl.linear_probe(patients, "true_domain", use_rep="X_genes")


def test_columns_of_positions_are_read_by_name(encoded: AnnData) -> None:
    adata = encoded.copy()
    xy = np.array(adata.obsm["spatial"])
    adata.obsm["spatial"] = pd.DataFrame({"y": xy[:, 1], "x": xy[:, 0]}, index=adata.obs_names)
    hs.pp.tile(adata)
    np.testing.assert_array_equal(adata.obsm["tiles"], encoded.obsm["tiles"])


def test_two_sections_under_one_name_are_noticed(encoded: AnnData) -> None:
    both = anndata.concat([encoded, encoded], uns_merge="same", index_unique="-")
    with pytest.warns(UserWarning, match="60 of 120 spots of section 'toy_1' lie where another spot lies"):
        hs.pp.tile(both)


def test_true_is_no_scale(encoded: AnnData) -> None:
    adata = encoded.copy()
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = True
    with pytest.raises(ScaleError, match="True"):
        hs.pp.tile(adata)
