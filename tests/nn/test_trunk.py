import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from histoscribe._errors import OptionError
from histoscribe.nn.image._blueprint import blueprint, load_network, rebuild
from histoscribe.nn.image._trunk import Trunk

from ._networks import TINY, network


def _inputs(n: int, size: int, width: int) -> tuple[Tensor, Tensor]:
    drawn = torch.Generator().manual_seed(0)
    return torch.randn(n, 3, size, size, generator=drawn), torch.randn(n, width, generator=drawn)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", {}),
        ("vit_tiny_patch16_224", {"reg_tokens": 3}),
        ("vit_tiny_patch16_224", {"class_token": False, "global_pool": "avg"}),
        ("vit_base_patch16_clip_224", {}),
    ],
)
def test_added_token_is_read_as_if_the_sequence_had_it(name: str, options: dict[str, Any]) -> None:
    module: Any = network(name, **TINY, img_size=64, **options)
    pixels, token = _inputs(2, 64, 48)
    seen = Trunk(module, 64)(pixels, token)
    x = module.norm_pre(module._pos_embed(module.patch_embed(pixels)))  # the network step by step
    first = module.num_prefix_tokens
    x = torch.cat([x[:, :first], token[:, None], x[:, first:]], dim=1)
    x = module.fc_norm(module.norm(module.blocks(x)))
    torch.testing.assert_close(seen.added, x[:, first])
    torch.testing.assert_close(seen.patches, x[:, first + 1 :])
    torch.testing.assert_close(seen.vectors, x[:, 0] if first else x[:, 1:].mean(dim=1))
    assert not module.blocks[0]._forward_pre_hooks


def _clip() -> Any:
    """Return both towers, of image and text."""
    import transformers

    torch.manual_seed(1)
    small: dict[str, Any] = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2}
    image = {**small, "num_attention_heads": 3, "image_size": 64, "patch_size": 16}
    text = {**small, "num_attention_heads": 3, "vocab_size": 50, "max_position_embeddings": 8}
    described = transformers.CLIPConfig(text_config=text, vision_config=image, projection_dim=32)
    return transformers.CLIPModel(described).eval()


def test_clip_of_transformers_reads_the_token(tmp_path: Path) -> None:
    _clip().save_pretrained(tmp_path / "clip")
    options: dict[str, Any] = {"pretrained": True, "options": {}, "random_state": 0}
    module: Any = load_network(f"transformers:{tmp_path / 'clip'}", **options).module
    trunk = Trunk(module, 64)
    pixels, token = _inputs(2, 64, 48)
    seen, other = trunk(pixels, token), trunk(pixels, -token)
    assert seen.patches.shape == (2, 16, 48)
    assert not torch.allclose(seen.vectors, other.vectors)
    vision = module.vision_model
    x = vision.pre_layrnorm(vision.embeddings(pixels))
    x = torch.cat([x[:, :1], token[:, None], x[:, 1:]], dim=1)
    for layer in vision.encoder.layers:
        found = layer(x, attention_mask=None)
        x = found if isinstance(found, Tensor) else found[0]
    torch.testing.assert_close(seen.vectors, vision.post_layernorm(x)[:, 0])


def test_thumbnail_of_one_patch_is_embedded_as_that_patch() -> None:
    module: Any = network(**TINY, img_size=64)
    trunk = Trunk(module, 64)
    pixels, _ = _inputs(2, 16, 48)  # as large as one patch: shrinking leaves it as it is
    whole = pixels.repeat(1, 1, 4, 4)
    torch.testing.assert_close(trunk.embed_thumbnail(pixels), module.patch_embed(whole)[:, 0])


def test_layers_are_counted_from_the_patches_up() -> None:
    trunk = Trunk(network(**TINY, img_size=64), 64)
    layers = {name: trunk.layer_of(name) for name, _ in trunk.network.named_parameters()}
    assert layers["patch_embed.proj.weight"] == layers["pos_embed"] == 0
    assert (layers["blocks.0.attn.qkv.weight"], layers["blocks.1.mlp.fc2.bias"], layers["norm.weight"]) == (1, 2, 3)
    assert len(trunk.linear_layers()) == 8


@pytest.mark.parametrize(
    ("name", "options", "says"),
    [
        ("resnet18", {}, "patch tokens a side"),
        ("vit_tiny_patch16_224", {**TINY, "img_size": 32}, "2 patch tokens a side"),
        ("eva02_tiny_patch14_224", {"depth": 2}, "rotary"),
    ],
)
def test_networks_without_places_for_it_are_refused(name: str, options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        Trunk(network(name, **options), options.get("img_size", 224))


def test_network_is_built_again_from_plain_values(tmp_path: Path) -> None:
    encoder = load_network("vit_tiny_patch16_224", pretrained=False, options={**TINY, "img_size": 64}, random_state=0)
    again = rebuild(json.loads(json.dumps(blueprint(encoder))))
    assert {n: v.shape for n, v in again.state_dict().items()} == {
        n: v.shape for n, v in encoder.module.state_dict().items()
    }
    folder = tmp_path / "clip"
    _clip().save_pretrained(folder)
    clip = load_network(f"transformers:{folder}", pretrained=True, options={}, random_state=0)
    again = rebuild(json.loads(json.dumps(blueprint(clip))))
    again.load_state_dict(clip.module.state_dict())
    pixels, token = _inputs(2, 64, 48)
    torch.testing.assert_close(Trunk(again.eval(), 64)(pixels, token), Trunk(clip.module, 64)(pixels, token))


@pytest.mark.parametrize(
    ("name", "pretrained", "says"), [("stain_stats", True, "encoder with weights"), ("kaiko_s16", False, "a timm name")]
)
def test_encoders_that_can_not_be_trained_are_refused(name: str, pretrained: bool, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        load_network(name, pretrained=pretrained, options={}, random_state=0)
