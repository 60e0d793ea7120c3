"""Networks of timm: built by name or from a folder, filled strictly."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..._errors import FileError, OptionError
from .._seed import seeded
from ._bodies import body
from ._conv_stem import ConvStem, renamed
from ._hub import snapshot, weights_in
from ._loaded import Loaded
from ._table import unknown
from ._weights import fill, hash_files, hash_tensors, read_tensors

CONFIG = "config.json"
_NATIVE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def from_name(name: str, options: Mapping[str, Any]) -> Loaded:
    """Network of a timm name with its published weights."""
    import timm

    try:
        cfg = timm.get_pretrained_cfg(name) if timm.is_model(name.split(".")[0]) else None
    except RuntimeError:  # a tag that it does not have
        cfg = None
    if cfg is None:
        raise unknown(name, timm.list_models() + timm.list_pretrained())
    if not cfg.hf_hub_id:
        fix = (
            "Name one of timm.list_pretrained(), or pass the module itself: hs.nn.load_encoder(timm.create_model(...))."
        )
        raise OptionError("encoder", found=f"{name}: timm has no weights for it", expected="one with weights", fix=fix)
    named = f"{cfg.architecture}.{cfg.tag}" if cfg.tag else str(cfg.architecture)
    files = (cfg.hf_hub_filename,) if cfg.hf_hub_filename else _NATIVE
    folder = snapshot(cfg.hf_hub_id, [files])
    paths = weights_in(folder, files)
    module = build(named, None, options, read_tensors(paths), str(paths[0]))
    origin = {"source": f"hf-hub:{cfg.hf_hub_id}", "revision": folder.name, "licence": str(cfg.license)}
    return _loaded(module, named, hash_files(paths), options, origin)


def from_folder(folder: Path, options: Mapping[str, Any], architecture: str | None = None) -> Loaded:
    """Network of a folder in timm's layout: ``config.json`` and ``model.safetensors``."""
    config = read_config(folder)
    named = architecture or config.get("architecture")
    if not named:
        fix = "Name the folder that timm's save_for_hf or hs.nn.convert_weights wrote, or use transformers:."
        raise FileError(str(folder / CONFIG), found="no architecture", expected="timm's layout", fix=fix)
    paths = weights_in(folder)
    weights = hash_files(paths)
    noted = config.get("histoscribe", {})
    check_hash(paths[0], weights, noted.get("sha256"))
    options = dict(options) if architecture else {**config.get("model_args", {}), **options}
    module = build(named, None if architecture else folder, options, read_tensors(paths), str(paths[0]))
    loaded = _loaded(module, named, weights, options, {"source": f"local-dir:{folder}"})
    if noted:
        loaded.name, loaded.mpp, loaded.pooling = noted["name"], noted["mpp"], noted["pooling"]
        loaded.origin |= {"licence": noted["licence"], "converted_from_sha256": noted["source_sha256"]}
    return loaded


def from_module(module: nn.Module, name: str | None) -> Loaded:
    """Take a user's own network as it is now."""
    weights = hash_tensors(module.state_dict())
    cfg = getattr(module, "pretrained_cfg", None) or {}
    loaded = _loaded(module, name or cfg.get("architecture") or type(module).__name__, weights, {}, {})
    loaded.origin = {"source": f"own module {type(module).__name__}"}
    return loaded


def build(
    name: str, folder: Path | None, options: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str
) -> nn.Module:
    """Make a network and fill it with its tensors; a classifier is loaded with the rest and then dropped."""
    import timm

    if not timm.is_model(name.split(".")[0]):
        raise unknown(name, timm.list_models())
    classes = _classifier_rows(name, folder, tensors)
    try:
        with seeded(0):  # whatever it draws is overwritten
            place = f"local-dir:{folder}" if folder else name
            module: nn.Module = timm.create_model(place, pretrained=False, num_classes=classes, **_resolved(options))
    except (TypeError, AssertionError) as error:
        fix = "Pass in options= only what timm.create_model takes for it."
        raise OptionError("options", found=str(error), expected=f"options of {name}", fix=fix) from error
    fill(module, named_as_now(module, name, tensors), source)
    if classes:
        module.reset_classifier(0)  # type: ignore[operator]
    return module


def named_as_now(module: nn.Module, name: str, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Tensors under the names of today's timm, where they came from older versions or other projects."""
    import timm

    own = module.state_dict()
    if tensors.keys() == own.keys():
        return tensors
    if isinstance(getattr(module, "patch_embed", None), ConvStem):
        return renamed(tensors)
    code = sys.modules[timm.models.model_entrypoint(name.split(".")[0]).__module__]
    rename = getattr(code, "checkpoint_filter_fn", None)
    if rename is None or _other_positions(own, tensors):
        return tensors  # filling says what is wrong; timm would resample positions in silence
    try:
        found: Mapping[str, Tensor] = rename(dict(tensors), module)
    except (KeyError, RuntimeError, ValueError, IndexError, AttributeError):
        return tensors
    return found


def _other_positions(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> bool:
    """Whether positions are of another number of patches; a class token's may be among them or not."""
    if "pos_embed" not in own or "pos_embed" not in tensors:
        return False
    return abs(own["pos_embed"].shape[1] - tensors["pos_embed"].shape[1]) > 1


def check_hash(path: Path, found: str, expected: str | None) -> None:
    """Refuse weights that are not those that were recorded."""
    if expected and found != expected:
        fix = "The file is broken or was changed: delete it, and download or convert it again."
        raise FileError(str(path), found=f"sha256 {found}", expected=expected, fix=fix)


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder."""
    path = folder / CONFIG
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        fix = "Name a folder with config.json and model.safetensors."
        raise FileError(str(path), found="nothing", expected="a model's configuration", fix=fix) from None
    except ValueError as error:
        raise FileError(str(path), found=str(error), expected="JSON", fix="Copy the folder again.") from error
    return config


def _classifier_rows(name: str, folder: Path | None, tensors: Mapping[str, Tensor]) -> int:
    """Classes of the classifier that is among the tensors, 0 if none is."""
    import timm

    cfg = timm.get_pretrained_cfg(name.split(".")[0], allow_unregistered=True)
    said = read_config(folder).get("pretrained_cfg", {}).get("classifier") if folder else None
    head = said or (cfg.classifier if cfg else None) or "head"
    key = f"{head if isinstance(head, str) else head[0]}.weight"
    return int(tensors[key].shape[0]) if key in tensors else 0


def _resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with classes in the place of their names."""
    from timm.layers.mlp import SwiGLUPacked

    classes = {"SwiGLUPacked": SwiGLUPacked, "SiLU": torch.nn.SiLU, "GELU": torch.nn.GELU, "ConvStem": ConvStem}
    kept = {key: value for key, value in options.items() if key != "num_classes"}  # the weights say how many
    return {key: classes.get(value, value) if isinstance(value, str) else value for key, value in kept.items()}


def _loaded(module: nn.Module, name: str, weights: str, options: Mapping[str, Any], origin: dict[str, Any]) -> Loaded:
    loaded = Loaded(name=name, module=module, weights=weights, origin=origin)
    loaded.built = {"architecture": name, "options": {key: str(value) for key, value in sorted(options.items())}}
    if hasattr(module, "pretrained_cfg"):
        from timm.data.config import resolve_model_data_config

        data = resolve_model_data_config(module)
        loaded.size = body(module).fixed_size or int(
            data["input_size"][-1]
        )  # what it is built for may not be what it says
        loaded.interpolation = str(data["interpolation"])
        loaded.mean, loaded.std = tuple(map(float, data["mean"])), tuple(map(float, data["std"]))
    return loaded
