"""Encoders from folders in timm's layout."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import histoscribe as hs
from histoscribe._errors import FileError, OptionError
from histoscribe._files import sha256

from ._networks import TINY, network, saved, tiles_of


@pytest.fixture
def tiny(tmp_path: Path) -> tuple[Path, nn.Module]:
    """Return a folder in timm's layout, and the network that is in it."""
    module = network(**TINY)
    return saved(tmp_path / "tiny", module, **TINY), module


def test_folder_equals_the_network_that_wassaved(tiny: tuple[Path, nn.Module]) -> None:
    folder, module = tiny
    encoder = hs.nn.load_encoder(f"local-dir:{folder}")
    np.testing.assert_allclose(encoder(tiles_of()), hs.nn.load_encoder(module)(tiles_of()), atol=1e-6)
    assert encoder.record["source"] == f"local-dir:{folder}"
    assert encoder.record["weights_sha256"] == sha256(folder / "model.safetensors")


def test_classifier_is_loaded_and_dropped(tmp_path: Path) -> None:
    module = network(num_classes=7, **TINY)
    encoder = hs.nn.load_encoder(f"local-dir:{saved(tmp_path / 'm', module, **TINY)}")
    pixels = torch.zeros(1, 3, 224, 224)
    with torch.inference_mode():
        expected = module.forward_head(module.forward_features(pixels), pre_logits=True)  # type: ignore[operator]
        np.testing.assert_allclose(encoder.module(pixels), expected, atol=1e-6)


def test_pickles_of_tensors_are_read_where_allowed(tiny: tuple[Path, nn.Module]) -> None:
    folder, _ = tiny
    expected = hs.nn.load_encoder(f"local-dir:{folder}")(tiles_of())
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    beside = hs.nn.load_encoder(f"local-dir:{folder}", allow_pickle_weights=True)
    assert beside.record["weights_sha256"] == sha256(folder / "model.safetensors")  # safetensors come first
    (folder / "model.safetensors").unlink()
    says = rf"pytorch_model\.bin: found weights in a pickle.*call hs\.nn\.load_encoder\('local-dir:{folder}', allow_pickle_weights=True\)"
    with pytest.raises(FileError, match=says):
        hs.nn.load_encoder(f"local-dir:{folder}")
    encoder = hs.nn.load_encoder(f"local-dir:{folder}", allow_pickle_weights=True)
    np.testing.assert_array_equal(encoder(tiles_of()), expected)


def test_a_tensor_in_two_shards_is_an_error(tiny: tuple[Path, nn.Module]) -> None:
    folder, _ = tiny
    tensors = load_file(folder / "model.safetensors")
    for part in ("a.safetensors", "b.safetensors"):
        save_file(tensors, folder / part)
    index = {"weight_map": dict.fromkeys(tensors, "a.safetensors") | {"pos_embed": "b.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    with pytest.raises(FileError, match=r"b\.safetensors: found \[.*a second time"):
        hs.nn.load_encoder(f"local-dir:{folder}")


def test_shards_are_put_together(tiny: tuple[Path, nn.Module]) -> None:
    folder, _ = tiny
    expected = hs.nn.load_encoder(f"local-dir:{folder}")(tiles_of())
    tensors = load_file(folder / "model.safetensors")
    names = sorted(tensors)
    parts = {"a.safetensors": names[:5], "b.safetensors": names[5:]}
    for part, held in parts.items():
        save_file({name: tensors[name] for name in held}, folder / part)
    index = {"weight_map": {name: part for part, held in parts.items() for name in held}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model.safetensors").unlink()
    np.testing.assert_array_equal(hs.nn.load_encoder(f"local-dir:{folder}")(tiles_of()), expected)
    (folder / "b.safetensors").unlink()
    with pytest.raises(FileError, match="no weights"):
        hs.nn.load_encoder(f"local-dir:{folder}")


def _broken(folder: Path, how: str) -> None:
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    if how == "missing":
        del tensors["blocks.1.attn.qkv.weight"]
    elif how == "left over":
        tensors["blocks.2.attn.qkv.weight"] = tensors["blocks.1.attn.qkv.weight"].clone()
    elif how == "width":
        tensors["blocks.0.mlp.fc1.weight"] = torch.zeros(100, 48)
    elif how == "positions":
        tensors["pos_embed"] = torch.zeros(1, 50, 48)
    save_file(tensors, weights)
    if how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif how == "gone":
        weights.unlink()
    elif how == "config":
        (folder / "config.json").write_text("{")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("missing", r"9\d\.\d% of the parameters matched; 1 tensors off: blocks\.1\.attn\.qkv\.weight missing"),
        ("left over", r"100\.0% of the parameters matched.*blocks\.2\.attn\.qkv\.weight left over"),
        ("width", r"of the parameters matched.*blocks\.0\.mlp\.fc1\.weight \(100, 48\) for \(192, 48\)"),
        ("positions", r"pos_embed \(1, 50, 48\) for \(1, 197, 48\).*position embedding is of another input size"),
        ("truncated", r"model\.safetensors: found .*broken"),
        ("gone", "no weights"),
        ("config", r"config\.json.*JSON"),
    ],
)
def test_partial_or_broken_weights_are_an_error(tiny: tuple[Path, nn.Module], how: str, says: str) -> None:
    _broken(tiny[0], how)
    with pytest.raises(FileError, match=says):
        hs.nn.load_encoder(f"local-dir:{tiny[0]}")


def test_options_that_timm_does_not_know_are_refused(tiny: tuple[Path, nn.Module]) -> None:
    with pytest.raises(OptionError, match=r"options: found .*dept"):
        hs.nn.load_encoder(f"local-dir:{tiny[0]}", options={"dept": 2})
    with pytest.raises(FileError, match=r"no such folder.*working directory"):
        hs.nn.load_encoder("local-dir:nowhere")


def test_dynamic_size_is_asked_for(tiny: tuple[Path, nn.Module]) -> None:
    with pytest.raises(OptionError, match=r"size: found 128"):
        hs.nn.load_encoder(f"local-dir:{tiny[0]}", size=128)
    encoder = hs.nn.load_encoder(f"local-dir:{tiny[0]}", size=128, options={"dynamic_img_size": True})
    assert encoder.dense(tiles_of(1, 128)).shape == (1, 8, 8, 48)


def test_loading_draws_nothing_and_prints_nothing(
    tiny: tuple[Path, nn.Module], capfd: pytest.CaptureFixture[str]
) -> None:
    before = torch.get_rng_state()
    hs.nn.load_encoder(f"local-dir:{tiny[0]}")
    assert torch.equal(torch.get_rng_state(), before)
    assert capfd.readouterr() == ("", "")
