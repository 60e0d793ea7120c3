"""Encoders against timm called by hand, on the same random weights."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.config import resolve_model_data_config
from timm.data.transforms_factory import create_transform
from torch import Tensor, nn

import histoscribe as hs
from histoscribe._errors import OptionError
from histoscribe.nn.image._pixels import resize, to_device

from ._networks import Tiles, network, tiles_of


def _by_hand(module: nn.Module, tiles: Tiles) -> Tensor:
    """Normalised pixels as timm's own transform makes them of Pillow images."""
    said = {**resolve_model_data_config(module), "crop_pct": 1.0, "input_size": (3, *tiles.shape[1:3])}
    transform: Any = create_transform(**said, is_training=False)
    return torch.stack([transform(Image.fromarray(tile)) for tile in tiles])


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    """Return a small vision transformer with registers."""
    return network("vit_small_patch14_reg4_dinov2", img_size=112, depth=3, embed_dim=96, num_heads=3)


NETWORKS: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"depth": 4},
    "vit_small_patch16_224": {"depth": 3},
    "vit_small_patch14_reg4_dinov2": {"img_size": 112, "depth": 3},
    "vit_base_patch16_siglip_224": {"depth": 1},
    "vit_tiny_patch16_224.augreg_in21k": {"depth": 2, "global_pool": "avg"},
    "resnet18": {},
    "swin_tiny_patch4_window7_224": {"depths": (1, 1, 1, 1)},
    "convnext_atto": {},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_default_vectors_equal_timm_called_by_hand(name: str) -> None:
    module = network(name, **NETWORKS[name])
    encoder = hs.nn.load_encoder(module)
    tiles = tiles_of(2, encoder.size)
    with torch.inference_mode():
        expected = module(_by_hand(module, tiles)).numpy()
    vectors = encoder(tiles)
    assert vectors.dtype == np.float32
    assert vectors.shape == (2, encoder.dim)
    np.testing.assert_allclose(vectors, expected, atol=1e-5, rtol=1e-5)


def test_poolings_are_those_of_the_tokens_without_registers(vit: nn.Module) -> None:
    tiles = tiles_of(2, 112)
    with torch.inference_mode():
        tokens = vit.forward_features(_by_hand(vit, tiles)).numpy()  # type: ignore[operator]
    first, mean = tokens[:, 0], tokens[:, 5:].mean(axis=1)
    for pooling, expected in {"cls": first, "mean": mean, "cls+mean": np.hstack([first, mean])}.items():
        encoder = hs.nn.load_encoder(vit, pooling=pooling)
        assert encoder.dim == expected.shape[1]
        np.testing.assert_allclose(encoder(tiles), expected, atol=1e-5)


def test_dense_tokens_average_to_mean_pooling(vit: nn.Module) -> None:
    encoder = hs.nn.load_encoder(vit, pooling="mean")
    tiles = tiles_of(2, 112)
    dense = encoder.dense(tiles)
    assert encoder.patch == 14
    assert dense.shape == (2, 8, 8, 96)
    assert dense.dtype == np.float32
    np.testing.assert_allclose(dense.mean(axis=(1, 2)), encoder(tiles), atol=1e-5)


class _Places(nn.Module):
    """Looks like a vision transformer of timm; each token is the mean colour of its patch."""

    def __init__(self) -> None:
        super().__init__()
        self.pretrained_cfg = {"input_size": (3, 64, 64), "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
        self.patch_embed = nn.AvgPool2d(16, 16)
        self.patch_embed.patch_size = (16, 16)  # type: ignore[assignment]
        self.cls_token, self.num_prefix_tokens, self.embed_dim, self.global_pool = torch.zeros(1), 2, 3, "token"

    def forward_features(self, pixels: Tensor) -> Tensor:
        patches = self.patch_embed(pixels).flatten(2).transpose(1, 2)
        return torch.cat([torch.full((len(patches), 2, 3), -1.0), patches], dim=1)

    def forward_head(self, tokens: Tensor, *, pre_logits: bool) -> Tensor:
        assert pre_logits
        return tokens[:, 0]


def test_dense_rows_are_y_columns_are_x_and_channels_rgb() -> None:
    y, x = np.mgrid[:64, :64]
    tile = np.stack([x, y, np.full_like(x, 200)], axis=-1).astype(np.uint8)[None]
    dense = hs.nn.load_encoder(_Places()).dense(tile)[0] * 255
    middle = np.arange(4) * 16 + 7.5
    np.testing.assert_allclose(dense[..., 0], np.broadcast_to(middle, (4, 4)), atol=1e-3)
    np.testing.assert_allclose(dense[..., 1], np.broadcast_to(middle[:, None], (4, 4)), atol=1e-3)
    np.testing.assert_allclose(dense[..., 2], 200, atol=1e-3)


def test_batches_make_no_difference(vit: nn.Module) -> None:
    encoder = hs.nn.load_encoder(vit, pooling="cls+mean")
    tiles = tiles_of(7, 112)
    whole = encoder(tiles)
    for step in (1, 3):
        parts = np.concatenate([encoder(tiles[i : i + step]) for i in range(0, 7, step)])
        np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert encoder(tiles[:0]).shape == (0, 192)
    assert encoder.dense(tiles[:0]).shape == (0, 8, 8, 96)


def test_half_precision_is_close_and_has_a_hash_of_its_own(vit: nn.Module) -> None:
    tiles = tiles_of(3, 112)
    full, half = (hs.nn.load_encoder(vit, precision=precision) for precision in ("32", "bf16"))
    a, b = full(tiles), half(tiles)
    assert b.dtype == np.float32
    assert not np.array_equal(a, b)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert cosine.min() > 0.999
    assert full.sha256 != half.sha256


def test_settings_give_the_precision(vit: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hs.settings, "precision", "bf16")
    assert hs.nn.load_encoder(vit).record["precision"] == "bf16"
    assert hs.nn.load_encoder(vit, precision="32").record["precision"] == "32"


@pytest.mark.parametrize("change", [{"pooling": "mean"}, {"mean": (0.4, 0.5, 0.5)}, {"std": (0.4, 0.5, 0.5)}])
def test_hash_changes_with_all_that_changes_numbers(vit: nn.Module, change: dict[str, Any]) -> None:
    base = hs.nn.load_encoder(vit)
    assert hs.nn.load_encoder(vit).sha256 == base.sha256
    assert hs.nn.load_encoder(vit, **change).sha256 != base.sha256
    other = network("vit_small_patch14_reg4_dinov2", img_size=112, depth=3, embed_dim=96, num_heads=3)
    with torch.no_grad():
        next(other.parameters()).view(-1)[0] += 1e-3
    assert hs.nn.load_encoder(other).sha256 != base.sha256


def test_module_of_the_user_is_left_as_it_was(vit: nn.Module) -> None:
    module = network("resnet18")
    module.train()
    before = [p.requires_grad for p in module.parameters()]
    encoder = hs.nn.load_encoder(module)
    tiles = tiles_of(2, 64)
    first = encoder(tiles)
    assert module.training
    assert [p.requires_grad for p in module.parameters()] == before
    with torch.no_grad():
        next(module.parameters()).zero_()
    np.testing.assert_array_equal(encoder(tiles), first)  # what was hashed is what is computed


@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("side", [100, 300])
def test_resizing_equals_pillow(interpolation: str, side: int) -> None:
    tiles = tiles_of(2, side)
    how = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[interpolation]
    expected = np.stack([np.asarray(Image.fromarray(tile).resize((224, 224), how)) for tile in tiles])
    found = resize(to_device(tiles, torch.device("cpu")), 224, interpolation).permute(0, 2, 3, 1).numpy()
    difference = np.abs(found - expected)
    assert difference.max() <= 1  # Pillow's weights are fixed-point
    assert difference.mean() < 0.02


def test_tiles_of_another_size_are_resized_whole(vit: nn.Module) -> None:
    encoder = hs.nn.load_encoder(vit)
    tiles = tiles_of(1, 200)
    small = np.asarray(Image.fromarray(tiles[0]).resize((112, 112), Image.Resampling.BICUBIC))[None]
    np.testing.assert_allclose(encoder(tiles), encoder(small), atol=0.02)


def test_memory_that_may_not_be_written_is_read(vit: nn.Module) -> None:
    tiles = tiles_of(1, 112)
    expected = hs.nn.load_encoder(vit)(tiles)
    tiles.setflags(write=False)
    np.testing.assert_array_equal(hs.nn.load_encoder(vit)(tiles), expected)


def test_networks_without_tokens_have_no_dense() -> None:
    encoder = hs.nn.load_encoder(network("resnet18"))
    assert encoder.patch is None
    with pytest.raises(OptionError, match=r"'dense' with resnet18.*patch tokens.*kaiko_s16"):
        encoder.dense(tiles_of(1))


def test_record_is_plain_and_says_all(vit: nn.Module, tmp_path: Path) -> None:
    import json

    record = hs.nn.load_encoder(vit, pooling="mean").record
    assert json.loads(json.dumps(record)) == record
    assert {"source", "weights_sha256", "pooling", "mean", "std", "interpolation", "precision", "timm"} <= set(record)
    assert record["pooling"] == "mean"
    assert len(record["weights_sha256"]) == 64


def test_dynamic_size_may_be_any_multiple_of_the_patch() -> None:
    module = network("vit_tiny_patch16_224", depth=1, dynamic_img_size=True)
    encoder = hs.nn.load_encoder(module, size=96)
    tiles = tiles_of(1, 96)
    with torch.inference_mode():
        expected = module(_by_hand(module, tiles)).numpy()
    np.testing.assert_allclose(encoder(tiles), expected, atol=1e-5)
    with pytest.raises(OptionError, match=r"size: found 100; expected a multiple of its patch, 16.*size=96"):
        hs.nn.load_encoder(module, size=100)


def test_module_that_returns_no_vectors_is_refused() -> None:
    class Tokens(nn.Module):
        def forward(self, pixels: Tensor) -> Tensor:
            return pixels.flatten(2)

    with pytest.raises(OptionError, match=r"a module that returns shape \(1, 3, 1024\).*\(n, d\)"):
        hs.nn.load_encoder(Tokens(), size=32)(tiles_of(1, 32))
