"""Fusion that learns from the tiles themselves, on painted sections."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import ImageError, MissingError, OptionError
from histoscribe._keys import Keys, valid
from histoscribe.nn import Contrastive, Model, TrainConfig
from histoscribe.tl._pixels import pixels_of

from ..toys import cached_toy

QUICK = TrainConfig(epochs=2, batch_size=32, accelerator="cpu")
FUSED = (Keys.X_FUSED, Keys.X_FUSED_IMAGE, Keys.X_FUSED_GENES)


def _config(**options: Any) -> Contrastive:
    small = {"img_size": 48, "patch_size": 8, "depth": 1, "embed_dim": 24, "num_heads": 3}
    named: dict[str, Any] = {"encoder": "vit_tiny_patch16_224", "pretrained": False, "encoder_options": small}
    return Contrastive(mode="pixels", trunk="full", trunk_rate=1.0, dim=16, hidden=0, n_whiten=8, **(named | options))


def _section(n: int = 80, seed: int = 0) -> AnnData:
    adata = cached_toy(n_spots=n, n_genes=200, random_state=seed)
    hs.pp.tile(adata)
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata, n_comps=10))
    return adata


@pytest.fixture(scope="module")
def fused() -> tuple[AnnData, Model]:
    adata = _section()
    return adata, hs.tl.fuse(adata, _config(), train=QUICK)


def test_all_three_embeddings_are_written_and_embedding_again_gives_the_same(
    fused: tuple[AnnData, Model], tmp_path: Path
) -> None:
    adata, model = fused
    model.save(tmp_path / "m")
    again = adata.copy()
    for key in FUSED:
        assert adata.obs[valid(key)].all()
        np.testing.assert_allclose(np.linalg.norm(adata.obsm[key], axis=1), 1, rtol=1e-5)
        del again.obsm[key]
    hs.tl.embed(again, hs.nn.load(tmp_path / "m"))
    for key in FUSED:
        np.testing.assert_allclose(again.obsm[key], adata.obsm[key], atol=1e-5)
    assert Keys.X_IMAGE not in adata.obsm
    assert adata.uns[Keys.RECORD]["obsm.X_fused"]["inputs"] == ["obsm.X_genes", "obsm.tiles"]
    assert {"train_position", "train_patch_region", "val_region_spot", "check_cosine_gap"} <= set(model.history[-1])


def test_both_encoders_are_trained_and_embed_again_what_they_did(tmp_path: Path) -> None:
    adata = _section()
    tiny = hs.nn.GeneEncoder.tiny(context=None, n_tokens=30, dim=16)
    genes = hs.tl.pretrain_genes(adata, tiny, train=TrainConfig(epochs=0, accelerator="cpu"))
    del adata.obsm[Keys.X_GENES]
    model = hs.tl.fuse(adata, _config(), gene_model=genes, train=QUICK)
    assert not torch.equal(model.module.pairs.gene_encoder.network.tokens.weight, genes.module.tokens.weight)
    model.save(tmp_path / "m")
    again = adata.copy()
    hs.tl.embed(again, hs.nn.load(tmp_path / "m"))
    for key in FUSED:
        np.testing.assert_allclose(again.obsm[key], adata.obsm[key], atol=1e-5)
    found = hs.tl.attribute(adata, model, adata.obs_names[3], n_patches=3)
    assert found.genes.abs().max() > 0
    assert adata.uns[Keys.RECORD]["obsm.X_fused"]["inputs"] == ["obsm.tiles", "layers.counts"]


def test_slide_without_genes_is_embedded_from_its_tiles(fused: tuple[AnnData, Model]) -> None:
    new = _section(40, seed=1)
    del new.obsm[Keys.X_GENES]
    hs.tl.embed(new, fused[1], modality="image")
    assert Keys.X_FUSED_IMAGE in new.obsm
    with pytest.warns(UserWarning, match="genes: no vectors"):
        hs.tl.embed(new, fused[1])
    assert new.obs[valid(Keys.X_FUSED)].all()


def test_section_without_tiles_is_embedded_from_its_genes(fused: tuple[AnnData, Model]) -> None:
    new = hs.tl.encode_genes(_section(40, seed=1), hs.tl.fit_pca(fused[0], n_comps=10), copy=True)
    assert isinstance(new, AnnData)
    fresh = hs.tl.embed(fused[0], fused[1], modality="genes", copy=True)
    assert isinstance(fresh, AnnData)
    np.testing.assert_array_equal(fresh.obsm[Keys.X_FUSED_GENES], fused[0].obsm[Keys.X_FUSED_GENES])
    del fused[0].uns[Keys.RECORD]["obsm.X_genes"], new.uns[Keys.RECORD]["obsm.X_genes"]
    del new.obsm[Keys.TILES]
    with pytest.raises(MissingError, match="tiles"):
        hs.tl.embed(new, fused[1], modality="image")


def test_trained_network_encodes_tiles_like_any_encoder(fused: tuple[AnnData, Model]) -> None:
    adata, model = fused
    found = hs.tl.encode_image(adata, model, key_added="X_own", copy=True)
    assert isinstance(found, AnnData)
    assert found.obsm["X_own"].shape == (80, 24)
    assert found.uns[Keys.RECORD]["obsm.X_own"]["hashes"]["encoder"] == model.module.encoder("cpu").sha256


def test_tissue_is_searched_both_ways_by_a_model_from_pixels(fused: tuple[AnnData, Model]) -> None:
    adata, model = fused
    names = list(adata.obs_names[:3])
    vectors = {way: adata.obsm[f"X_fused_{way}"] for way in ("image", "genes")}
    for way, other in (("image", "genes"), ("genes", "image")):
        found = hs.tl.retrieve(adata, names, model, modality=way, k=5)
        best = adata.obs_names[(vectors[way][:3] @ vectors[other].T).argmax(axis=1)]
        assert found["match"][found["rank"] == 1].tolist() == best.tolist()
    slide = adata[:4].copy()
    del slide.obsm[Keys.X_GENES]
    assert len(hs.tl.retrieve(adata, slide, model, k=2)) == 8
    for call in (
        lambda: hs.tl.retrieve(adata, names, model, image_rep="junk"),
        lambda: hs.tl.embed(adata, model, image_rep="junk"),
    ):
        with pytest.raises(OptionError, match="image_rep: found 'junk' for a model that reads tiles"):
            call()


def test_trained_network_takes_no_pooling_and_a_model_of_vectors_is_none(fused: tuple[AnnData, Model]) -> None:
    adata, model = fused
    cases: list[tuple[dict[str, Any], str]] = [
        ({"pooling": "cls+mean"}, "pooling: found"),
        ({"precision": "fp8"}, "precision: found"),
    ]
    for options, says in cases:
        with pytest.raises(OptionError, match=says):
            hs.tl.encode_image(adata, model, **options)
    with pytest.raises(OptionError, match="a model of PCA on vectors; expected a model that learned from pixels"):
        hs.tl.encode_image(adata, hs.tl.fit_pca(adata, n_comps=4))


def test_spots_off_the_image_and_without_genes_do_not_train(tmp_path: Path) -> None:
    adata = _section()
    adata.obsm[Keys.TILES][3] += 1e6
    adata.obs[valid(Keys.X_GENES)] = np.arange(80) != 7
    with pytest.warns(UserWarning, match="1 of 80 outside the image"):
        model = hs.tl.fuse(adata, _config(), train=QUICK)
    assert model.meta["n_train"] + model.meta["n_val"] == 78
    assert np.flatnonzero(~adata.obs[valid(Keys.X_FUSED_IMAGE)].to_numpy()).tolist() == [3]
    assert adata.obs[valid(Keys.X_FUSED)].all()


def test_pixels_are_those_of_the_image_at_the_places_of_the_regions() -> None:
    adata = _section(40)
    encoder = type("Encoder", (), {"size": 48, "mpp": 112 / 48, "name": "e"})()
    boxes = adata.obsm[Keys.TILES]
    with (
        pixels_of([adata], encoder, tiles_key="tiles", library_key="library_id") as (pixels, seen),
        hs.io.open_image(adata) as image,
    ):
        assert seen.all()
        for row, cell in ((0, 0), (5, 4), (17, 8), (39, 2)):
            down, right = divmod(cell, 3)
            x, y, w, h = boxes[row]
            wide = np.array([[x - right * w, y - down * h, 3 * w, 3 * h]])
            expected = next(iter(image.read_tiles(wide, 48)))[1][0].astype(int)
            # Cut to whole pixels: half of one off at most, on a picture that changes slowly.
            assert np.abs(pixels.region(row, cell) - expected).mean() < 6
            tile = next(iter(image.read_tiles(boxes[[row]], 48)))[1][0]
            np.testing.assert_array_equal(pixels.patches[row], tile)


def test_pixels_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    from histoscribe.io import SlideImage

    passes = []
    real = SlideImage.read_tiles

    def counted(self: Any, *args: Any) -> Any:
        passes.append(self.source)
        return real(self, *args)

    adata = _section()
    monkeypatch.setattr(SlideImage, "read_tiles", counted)
    hs.tl.fuse(adata, _config(), train=QUICK)
    assert len(passes) == 1


def test_vectors_of_regions_are_a_third_input_of_cached_vectors() -> None:
    adata = _section(90)
    hs.pp.tile(adata, context=(1, 3))
    hs.tl.encode_image(adata, "mean_rgb", tiles_key=("tiles", "tiles_x3"))
    with_regions = hs.tl.fuse(adata, Contrastive(dim=8), region_rep="X_image_x3", train=QUICK)
    assert {"train_patch_spot", "train_region_spot", "train_patch_region"} <= set(with_regions.history[-1])
    vectors = adata.obsm[Keys.X_FUSED].copy()
    del adata.obsm["X_image_x3"]
    hs.tl.embed(adata, with_regions)  # needed for training alone
    np.testing.assert_array_equal(adata.obsm[Keys.X_FUSED], vectors)


def test_boxes_of_regions_are_those_that_were_encoded() -> None:
    from histoscribe.tl._loaders import region_boxes

    adata = _section()
    hs.pp.tile(adata, context=(1, 5))
    hs.tl.encode_image(adata, "mean_rgb", tiles_key=("tiles", "tiles_x5"))
    found = region_boxes([adata], Keys.X_IMAGE.renamed("X_image_x5"), Keys.LIBRARY_ID)
    np.testing.assert_allclose(found[:, 2:], 560, rtol=1e-4)
    unknown = region_boxes([adata], Keys.X_IMAGE.renamed("X_other"), Keys.LIBRARY_ID)
    np.testing.assert_allclose(unknown[:, 2:], 336, rtol=1e-4)
    centres = [box[:, :2] + box[:, 2:] / 2 for box in (found, unknown)]
    np.testing.assert_allclose(centres[0], centres[1], rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "config", "error", "says"),
    [
        ({"region_rep": "X_image_x3"}, _config(), OptionError, "region_rep: found 'X_image_x3' for pixels"),
        ({"tiles_key": "boxes"}, _config(), MissingError, r"obsm\['boxes'\]"),
        ({}, _config(encoder="stain_stats", pretrained=True), OptionError, "an encoder with weights"),
        ({}, _config(encoder="kaiko_s16"), OptionError, "need a name of timm, such as encoder="),
        ({}, _config(encoder_options={"imgsize": 48}), OptionError, r"encoder_options: found .*imgsize"),
        ({"region_rep": "X_image_x5"}, Contrastive(), MissingError, r"obsm\['X_image_x5'\].*context=\(1, 3\)"),
        ({}, Contrastive(losses=("region_spot",)), MissingError, "region_rep: found None.*X_image_x3"),
    ],
)
def test_what_does_not_fit_is_refused(options: Any, config: Contrastive, error: type[Exception], says: str) -> None:
    adata = _section(30)
    adata.obsm[Keys.X_IMAGE] = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    with pytest.raises(error, match=says):
        hs.tl.fuse(adata, config, train=QUICK, **options)
    assert Keys.X_FUSED not in adata.obsm


def test_tiles_of_several_sizes_make_no_regions() -> None:
    adata = _section(30)
    adata.obsm[Keys.TILES][4, 2:] *= 2
    with pytest.raises(OptionError, match=r"tiles of section 'toy_1': found sides from .*hs\.pp\.tile"):
        hs.tl.fuse(adata, _config(), train=QUICK)


def test_missing_image_is_an_error_before_training() -> None:
    adata = _section(30)
    adata.uns[Keys.LIBRARIES]["toy_1"]["images"] = {}
    with pytest.raises(ImageError):
        hs.tl.fuse(adata, _config(), train=QUICK)
