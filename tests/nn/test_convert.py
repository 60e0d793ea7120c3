"""Foreign checkpoints, made here under the names that others gave them."""

import json
import re
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import histoscribe as hs
from histoscribe._errors import FileError, MissingError, OptionError
from histoscribe._files import sha256
from histoscribe.nn.image._conv_stem import ConvStem
from histoscribe.nn.image._convert import unwrapped

convert = partial(hs.nn.convert_weights, allow_pickle_weights=True)
TINY: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 3}
TILES = np.random.default_rng(0).integers(0, 255, (2, 224, 224, 3), dtype=np.uint8)


def _network(name: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    torch.manual_seed(4)
    module: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **options)
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean, norm.running_var = torch.randn(norm.num_features), torch.rand(norm.num_features) + 0.5
    return module.eval()


def _ctranspath() -> tuple[nn.Module, dict[str, Tensor]]:
    """Return a network, and its tensors as timm 0.5 named them, with the buffers that it saved."""
    module = _network("swin_tiny_patch4_window7_224", embed_layer=ConvStem)
    old = {
        re.sub(r"^layers\.(\d)\.downsample", lambda m: f"layers.{int(m[1]) - 1}.downsample", name): tensor
        for name, tensor in module.state_dict().items()
    }
    blocks = {name.rsplit(".attn.", 1)[0] for name in old if ".attn." in name}
    for block in blocks:
        old[f"{block}.attn.relative_position_index"] = torch.zeros(49, 49, dtype=torch.long)
        if block.endswith(("1", "3", "5")) and not block.startswith("layers.3"):
            old[f"{block}.attn_mask"] = torch.zeros(64, 49, 49)
    return module, old


@pytest.mark.weekly
def test_ctranspath_under_its_old_names_gives_the_same_vectors(tmp_path: Path) -> None:
    module, old = _ctranspath()
    assert "layers.0.downsample.reduction.weight" in old
    assert "layers.3.downsample.reduction.weight" not in old
    torch.save({"model": old}, tmp_path / "ctranspath.pth")
    digest = convert(tmp_path / "ctranspath.pth", tmp_path / "out", architecture="ctranspath")
    encoder = hs.nn.load_encoder(f"local-dir:{tmp_path / 'out'}")
    assert (encoder.name, encoder.size, encoder.mpp, encoder.dim, encoder.patch) == ("ctranspath", 224, 1.0, 768, None)
    expected = hs.nn.load_encoder(module)(TILES)
    np.testing.assert_allclose(encoder(TILES), expected, atol=1e-5)
    assert encoder.record["weights_sha256"] == digest == sha256(tmp_path / "out" / "model.safetensors")
    assert encoder.record["licence"] == "GPL-3.0"
    assert encoder.record["converted_from_sha256"] == sha256(tmp_path / "ctranspath.pth")


def test_stem_has_the_published_layers() -> None:
    shapes = {name: tuple(value.shape) for name, value in ConvStem(norm_layer=nn.LayerNorm).state_dict().items()}
    convolutions = {name: shape for name, shape in shapes.items() if len(shape) == 4}
    assert convolutions == {
        "proj.0.weight": (12, 3, 3, 3),
        "proj.3.weight": (24, 12, 3, 3),
        "proj.6.weight": (96, 24, 1, 1),
    }
    assert shapes["proj.6.bias"] == shapes["norm.weight"] == (96,)
    assert "proj.0.bias" not in shapes
    assert ConvStem()(torch.zeros(1, 3, 224, 224)).shape == (1, 56, 56, 96)


def _wrapped(tensors: dict[str, Tensor], how: str) -> Any:
    other = {"head.mlp.0.weight": torch.zeros(3)}
    return {
        "plain": tensors,
        "module.": {f"module.{k}": v for k, v in tensors.items()},
        "model": {"model": tensors, "epoch": 3},
        "state_dict": {"state_dict": {f"module.backbone.{k}": v for k, v in tensors.items()}, "arch": "vit"},
        "teacher": {
            "teacher": {f"backbone.{k}": v for k, v in tensors.items()} | other,
            "student": {f"backbone.{k}": torch.zeros_like(v) for k, v in tensors.items()},
        },
        "prefix": {f"teacher.backbone.{k}": v for k, v in tensors.items()}
        | {f"student.backbone.{k}": torch.zeros_like(v) for k, v in tensors.items()},
    }[how]


@pytest.mark.parametrize("how", ["plain", "module.", "model", "state_dict", "teacher", "prefix"])
def test_wrappers_are_taken_off(how: str) -> None:
    tensors = _network(**TINY).state_dict()
    found = unwrapped(_wrapped(tensors, how), "x")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)


@pytest.mark.parametrize("suffix", ["pth", "bin"])
def test_own_architecture_with_a_classifier(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    module = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=5, **TINY).eval()
    torch.save({"state_dict": {f"module.{k}": v for k, v in module.state_dict().items()}}, tmp_path / f"w.{suffix}")
    convert(
        tmp_path / f"w.{suffix}",
        tmp_path / "out",
        architecture="vit_tiny_patch16_224",
        options=TINY,
        mpp=0.25,
        mean=(0.7, 0.6, 0.7),
        std=(0.2, 0.2, 0.2),
    )
    encoder = hs.nn.load_encoder(f"local-dir:{tmp_path / 'out'}")
    same = hs.nn.load_encoder(module, mean=(0.7, 0.6, 0.7), std=(0.2, 0.2, 0.2), pooling="cls")
    assert encoder.mpp == 0.25
    np.testing.assert_allclose(encoder(TILES), same(TILES), atol=1e-5)


def test_names_of_dinov2_are_brought_up_to_date(tmp_path: Path) -> None:
    options: dict[str, Any] = {"img_size": 56, "depth": 2, "embed_dim": 48, "num_heads": 3}
    module = _network("vit_small_patch14_dinov2", **options)
    theirs = dict(module.state_dict()) | {"mask_token": torch.zeros(1, 48)}
    torch.save({"teacher": {f"backbone.{k}": v for k, v in theirs.items()}}, tmp_path / "d.pth")
    convert(tmp_path / "d.pth", tmp_path / "o", architecture="vit_small_patch14_dinov2", options=options)
    encoder = hs.nn.load_encoder(f"local-dir:{tmp_path / 'o'}")
    assert encoder.size == 56
    np.testing.assert_allclose(encoder(TILES), hs.nn.load_encoder(module, interpolation="bicubic")(TILES), atol=1e-5)


def test_positions_of_another_size_are_not_resampled_in_silence(tmp_path: Path) -> None:
    options: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 3}
    theirs = dict(_network("vit_small_patch14_dinov2", img_size=56, **options).state_dict())
    torch.save(theirs | {"mask_token": torch.zeros(1, 48)}, tmp_path / "d.pth")
    with pytest.raises(FileError, match=r"pos_embed \(1, 17, 48\) for \(1, 65, 48\).*options=\{'img_size'"):
        convert(
            tmp_path / "d.pth",
            tmp_path / "o",
            architecture="vit_small_patch14_dinov2",
            options={**options, "img_size": 112},
        )
    assert not (tmp_path / "o").exists()


class _Evil:
    def __reduce__(self) -> Any:
        return (Path.touch, (Path("ran"),))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (_Evil(), r"a pickle that is refused.*safetensors.*state_dict\(\)"),
        ({"epoch": 3}, r"no tensors: dict \['epoch'\].*state_dict\(\)"),
        ([1, 2], "no tensors: list"),
        ({"model": {"a": torch.zeros(2)}}, r"0\.0% of the parameters matched"),
    ],
    ids=["code", "no tensors", "list", "other network"],
)
def test_refused_files_leave_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: Any, says: str
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(held, tmp_path / "w.pth")
    with pytest.raises(FileError, match=says):
        convert(tmp_path / "w.pth", tmp_path / "out", architecture="ctranspath")
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == ["w.pth"]


def test_no_file_and_broken_file(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="found nothing"):
        convert(tmp_path / "no.pth", tmp_path / "out", architecture="ctranspath")
    (tmp_path / "w.pth").write_bytes(b"<html>404</html>")
    with pytest.raises(FileError, match=r"w\.pth"):
        convert(tmp_path / "w.pth", tmp_path / "out", architecture="ctranspath")


@pytest.mark.parametrize(
    ("architecture", "error", "says"),
    [
        ("vit_tinny_patch16_224", MissingError, "Did you mean .*vit_tiny_patch16_224"),
        ("uni", OptionError, "'uni'.*Load it by name"),
        ("stain_stats", MissingError, "stain_stats"),
    ],
)
def test_architecture_must_be_one_to_convert(tmp_path: Path, architecture: str, error: Any, says: str) -> None:
    torch.save(_network(**TINY).state_dict(), tmp_path / "w.pth")
    with pytest.raises(error, match=says):
        convert(tmp_path / "w.pth", tmp_path / "out", architecture=architecture)


def test_weights_changed_after_conversion_are_noticed(tmp_path: Path) -> None:
    torch.save(_network(**TINY).state_dict(), tmp_path / "w.pth")
    out = tmp_path / "out"
    convert(tmp_path / "w.pth", out, architecture="vit_tiny_patch16_224", options=TINY)
    assert json.loads((out / "config.json").read_text())["histoscribe"]["sha256"] == sha256(out / "model.safetensors")
    content = bytearray((out / "model.safetensors").read_bytes())
    content[-5] ^= 1
    (out / "model.safetensors").write_bytes(content)
    assert load_file(out / "model.safetensors")  # safetensors itself does not see it
    with pytest.raises(FileError, match=r"model\.safetensors: found sha256 .*changed"):
        hs.nn.load_encoder(f"local-dir:{out}")


def test_timm_reads_what_was_converted(tmp_path: Path) -> None:
    module = _network(**TINY)
    torch.save(module.state_dict(), tmp_path / "w.pth")
    convert(tmp_path / "w.pth", tmp_path / "out", architecture="vit_tiny_patch16_224", options=TINY)
    read = timm.create_model(f"local-dir:{tmp_path / 'out'}", pretrained=True).eval()
    pixels = torch.rand(1, 3, 224, 224)
    with torch.inference_mode():
        torch.testing.assert_close(read(pixels), module(pixels))


def test_a_folder_that_is_no_model_is_not_replaced(tmp_path: Path) -> None:
    torch.save(_network(**TINY).state_dict(), tmp_path / "w.pth")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(FileError, match="no model"):
        convert(tmp_path / "w.pth", tmp_path / "out", architecture="vit_tiny_patch16_224", options=TINY)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "mine"


def test_pickles_are_read_only_where_allowed(tmp_path: Path) -> None:
    tensors = _network(**TINY).state_dict()
    options: dict[str, Any] = {"architecture": "vit_tiny_patch16_224", "options": TINY}
    torch.save(tensors, tmp_path / "w.pth")
    says = r"w\.pth: found weights in a pickle.*can run code.*expected safetensors.*call hs\.nn\.convert_weights\('.*w\.pth', '.*out', architecture='vit_tiny_patch16_224', allow_pickle_weights=True\)"
    with pytest.raises(FileError, match=says):
        hs.nn.convert_weights(tmp_path / "w.pth", tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    save_file(tensors, tmp_path / "w.safetensors")
    hs.nn.convert_weights(tmp_path / "w.safetensors", tmp_path / "safe", **options)
    convert(tmp_path / "w.pth", tmp_path / "out", **options)
    pickled, safe = (load_file(tmp_path / name / "model.safetensors") for name in ("out", "safe"))
    assert all(torch.equal(pickled[name], tensors[name]) and torch.equal(safe[name], tensors[name]) for name in tensors)


def test_weights_of_another_device_are_read_on_the_cpu(tmp_path: Path) -> None:
    tensors = _network(**TINY).state_dict()
    torch.save(tensors, tmp_path / "w.pth")
    with ZipFile(tmp_path / "w.pth") as old, ZipFile(tmp_path / "cuda.pth", "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename.endswith("data.pkl"):
                assert b"X\x03\x00\x00\x00cpu" in content
                content = content.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:7")
            new.writestr(member.filename, content)
    convert(tmp_path / "cuda.pth", tmp_path / "out", architecture="vit_tiny_patch16_224", options=TINY)
    found = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
