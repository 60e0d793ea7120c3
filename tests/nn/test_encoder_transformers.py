"""Vision transformers of transformers, made from configurations and saved."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import load_file, save_file

import histoscribe as hs
from histoscribe._errors import FileError, OptionError

from ._networks import tiles_of

VIT: dict[str, Any] = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 96,
    "image_size": 64,
    "patch_size": 16,
}
KINDS = {
    "vit": (transformers.ViTConfig, transformers.ViTModel, 1, {}),
    "dinov2": (transformers.Dinov2Config, transformers.Dinov2Model, 1, {}),
    "registers": (
        transformers.Dinov2WithRegistersConfig,
        transformers.Dinov2WithRegistersModel,
        5,
        {"num_register_tokens": 4},
    ),
}
PROCESSOR = {
    "image_processor_type": "ViTImageProcessor",
    "image_mean": [0.7, 0.5, 0.6],
    "image_std": [0.2, 0.25, 0.2],
    "size": {"height": 64, "width": 64},
    "resample": 2,
    "do_resize": True,
    "do_normalize": True,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
}


def _transformer(folder: Path, kind: str, **changed: Any) -> Any:
    config, model, _, more = KINDS[kind]
    torch.manual_seed(3)
    module = model(config(**{**VIT, **more, **changed})).eval()
    module.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PROCESSOR))
    return module


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [64, 100])
def test_transformers_equal_their_own_image_processor(tmp_path: Path, kind: str, side: int) -> None:
    module = _transformer(tmp_path, kind)
    encoder = hs.nn.load_encoder(f"transformers:{tmp_path}")
    assert (encoder.size, encoder.patch, encoder.dim) == (64, 16, 48)
    processor: Any = transformers.ViTImageProcessor.from_pretrained(tmp_path)
    tiles = tiles_of(2, side)
    pixels = processor([Image.fromarray(tile) for tile in tiles], return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        tokens = module(pixel_values=pixels).last_hidden_state.numpy()
    close = 1e-5 if side == 64 else 2e-2  # resized: to the last bit of a pixel
    np.testing.assert_allclose(encoder(tiles), tokens[:, 0], atol=close)
    patches = tokens[:, KINDS[kind][2] :]
    np.testing.assert_allclose(encoder.dense(tiles), patches.reshape(2, 4, 4, 48), atol=5 * close)
    mean = hs.nn.load_encoder(f"local-dir:{tmp_path}", pooling="mean")(tiles)
    np.testing.assert_allclose(mean, patches.mean(axis=1), atol=close)


def test_clip_gives_its_projected_vector(tmp_path: Path) -> None:
    vision, text = transformers.CLIPVisionConfig(**VIT), {"vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 1}
    text |= {"num_attention_heads": 2, "intermediate_size": 32, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    config = transformers.CLIPConfig(vision_config=vision.to_dict(), text_config=text, projection_dim=24)
    module = transformers.CLIPModel(config).eval()
    module.save_pretrained(tmp_path)
    encoder = hs.nn.load_encoder(f"transformers:{tmp_path}", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    tiles = tiles_of(2, 64)
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 255
    with torch.inference_mode():
        seen = module.vision_model(pixel_values=pixels)
        expected = module.visual_projection(seen.pooler_output)
        first = module.vision_model.post_layernorm(seen.last_hidden_state)[:, 0]
    assert (encoder.dim, encoder.patch) == (24, 16)
    np.testing.assert_allclose(encoder(tiles), expected, atol=1e-5)
    as_class = hs.nn.load_encoder(f"transformers:{tmp_path}", pooling="cls", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    np.testing.assert_allclose(as_class(tiles), first, atol=1e-5)


def test_pooler_that_was_never_trained_is_not_offered(tmp_path: Path) -> None:
    module = _transformer(tmp_path, "vit")
    tensors = {k: v for k, v in load_file(tmp_path / "model.safetensors").items() if not k.startswith("pooler")}
    with_pooler = hs.nn.load_encoder(f"transformers:{tmp_path}", pooling="pooler")
    assert with_pooler.dim == 48
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    encoder = hs.nn.load_encoder(f"transformers:{tmp_path}")
    np.testing.assert_allclose(
        encoder(tiles_of(1, 64)), hs.nn.load_encoder(f"transformers:{tmp_path}")(tiles_of(1, 64))
    )
    with pytest.raises(OptionError, match="pooling: found 'pooler'"):
        hs.nn.load_encoder(f"transformers:{tmp_path}", pooling="pooler")
    assert hs.nn.load_encoder(module).dim == 48


@pytest.mark.parametrize("how", ["missing", "left over", "width"])
def test_partial_transformer_is_an_error(tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]) -> None:
    _transformer(tmp_path, "dinov2")
    tensors = load_file(tmp_path / "model.safetensors")
    name = sorted(n for n in tensors if n.endswith("weight") and "layer.1." in n)[0]
    if how == "missing":
        del tensors[name]
    elif how == "left over":
        tensors[name.replace("layer.1.", "layer.7.")] = tensors[name].clone()
    else:
        tensors[name] = torch.zeros(7, *tensors[name].shape[1:])
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    capfd.readouterr()
    with pytest.raises(FileError, match=r"\d% of the parameters matched; 1 off: .*layer\.[17]\."):
        hs.nn.load_encoder(f"transformers:{tmp_path}")
    assert capfd.readouterr() == ("", "")


def test_code_of_a_repository_is_never_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    (tmp_path / "evil.py").write_text(f"open({str(marker)!r}, 'w').write('ran')\n")
    config = {"model_type": "evil", "auto_map": {"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(FileError, match=r"a model with code of its own.*object of your own"):
        hs.nn.load_encoder(f"transformers:{tmp_path}")
    assert not marker.exists()


def test_networks_that_are_no_vision_transformer_are_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=30)
    transformers.BertModel(config).save_pretrained(tmp_path)
    with pytest.raises(OptionError, match="a bert of transformers"):
        hs.nn.load_encoder(f"transformers:{tmp_path}")
