"""Networks of timm: built by name or from a folder, filled strictly."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..._checks import is_number
from ..._errors import FileError, OptionError
from ..._json import read_json
from .._budget import within
from .._save import FORMAT
from .._seed import seeded
from ._bodies import body
from ._conv_stem import ConvStem, renamed
from ._hash_module import hash_module
from ._hashes import check_hash, hash_files, hash_tensors
from ._hub import snapshot, weights_in
from ._loaded import Loaded
from ._pickles import Trust
from ._table import unknown
from ._weights import fill, read_tensors

CONFIG = "config.json"
_LARGEST, _MOST = 16384, 200
_CODE = ("auto_map", "custom_pipelines")
_NOT_OPTIONS = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir", "device"}
_NOT_OPTIONS |= {"dtype", "features_only", "pretrained_strict", "scriptable", "exportable", "no_jit"}
_NATIVE = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")


def from_name(name: str, options: Mapping[str, Any], trust: Trust) -> Loaded:
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
    folder = snapshot(cfg.hf_hub_id, [files], trust)
    paths = weights_in(folder, trust, files)
    module = build(named, None, options, read_tensors(paths, trust), str(paths[0]))
    origin = {"source": f"hf-hub:{cfg.hf_hub_id}", "revision": folder.name, "licence": str(cfg.license)}
    return _loaded(module, named, hash_files(paths), options, origin)


def from_folder(
    folder: Path,
    options: Mapping[str, Any],
    trust: Trust,
    *,
    architecture: str | None = None,
    sha256: str | None = None,
) -> Loaded:
    """Network of a folder in timm's layout: ``config.json`` and ``model.safetensors``."""
    config = read_config(folder)
    named, noted = architecture or config.get("architecture"), config.get("histoscribe", {})
    if not isinstance(named, str) or not named:
        fix = "Name the folder that timm's save_for_hf or hs.nn.convert_weights wrote, or use transformers:."
        raise FileError(str(folder / CONFIG), found="no architecture", expected="timm's layout", fix=fix)
    if noted:
        _check_noted(folder / CONFIG, config, noted)
    paths = weights_in(folder, trust)
    weights = check_hash(paths, sha256 or noted.get("sha256"))
    own = config.get("model_args", {})
    options = dict(options) if architecture else {**(own if isinstance(own, dict) else {}), **options}
    tensors = read_tensors(paths, trust)
    module = build(named, None if architecture else folder, options, tensors, str(paths[0]))
    loaded = _loaded(module, named, weights, options, {"source": f"local-dir:{folder}"})
    if noted:
        loaded.name, loaded.mpp, loaded.pooling = noted["name"], float(noted["mpp"]), noted["pooling"]
        loaded.origin |= {"licence": noted["licence"], "converted_from_sha256": noted["source_sha256"]}
    return loaded


def _check_noted(path: Path, config: Mapping[str, Any], noted: Any) -> None:
    """Check what convert_weights noted of a network."""
    if config.get("format", FORMAT) != FORMAT:
        found = f"format {config['format']}"
        fix = f"It was written by histoscribe {config.get('version')}: install that version or a later one."
        raise FileError(str(path), found=found, expected=f"format {FORMAT}", fix=fix)
    texts = ("name", "pooling", "licence", "source_sha256", "sha256")
    ok = isinstance(noted, dict) and all(isinstance(noted.get(key), str) for key in texts)
    if not ok or not is_number(noted.get("mpp"), 0.01, 100):
        found = f"a histoscribe entry {str(noted)[:100]}"
        fix = "Convert the weights again."
        raise FileError(str(path), found=found, expected="what hs.nn.convert_weights wrote", fix=fix)


def from_module(module: nn.Module, name: str | None) -> Loaded:
    """Take a user's own network as it is now."""
    weights, described = hash_tensors(module.state_dict()), hash_module(module)
    cfg = getattr(module, "pretrained_cfg", None) or {}
    loaded = _loaded(module, name or cfg.get("architecture") or type(module).__name__, weights, {}, {})
    loaded.built["module"] = described
    loaded.origin = {"source": f"own module {type(module).__name__}"}
    return loaded


def build(
    name: str, folder: Path | None, options: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str
) -> nn.Module:
    """Make a network and fill it with its tensors; a classifier is loaded with the rest and then dropped."""
    import timm

    if not timm.is_model(name.split(".")[0]):
        raise unknown(name, timm.list_models())
    check_options(options, source)
    classes = _classifier_rows(name, folder, tensors)
    try:
        with within(tensors, source, f"a network {name}"), seeded(0):  # whatever it draws is overwritten
            place = f"local-dir:{folder}" if folder else name
            module: nn.Module = timm.create_model(place, pretrained=False, num_classes=classes, **resolved(options))
    except FileError as error:
        if not isinstance(error.__cause__, TypeError | AssertionError):
            raise
        fix = "Pass in options= only what timm.create_model takes for it."
        raise OptionError("options", found=str(error.__cause__), expected=f"options of {name}", fix=fix) from error
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


def check_options(options: Mapping[str, Any], source: str) -> None:
    """Refuse what would make timm read or fetch files by itself, and numbers that no network has."""
    taken = sorted(set(options) & _NOT_OPTIONS)
    if taken:
        fix = "Leave it out: weights come from the place that is loaded."
        raise OptionError("options", found=f"{taken} ({source})", expected="options of the network", fix=fix)
    leaves = _leaves(list(options.values()))
    large = [one for one in leaves if isinstance(one, int | float) and not abs(one) <= _LARGEST]
    if large or len(leaves) > _MOST:
        found = str(large[0])[:40] if large else f"{len(leaves)} values"
        fix = "Sizes, depths and the like are far smaller: correct options=, or take the folder from its source again."
        expected = f"at most {_MOST} numbers up to {_LARGEST}"
        raise OptionError("options", found=f"{found} ({source})", expected=expected, fix=fix)


def _leaves(value: Any) -> list[Any]:
    """Values in lists and dicts, without the lists and dicts."""
    waiting: list[Any] = [value]
    found: list[Any] = []
    while waiting and len(found) <= _MOST:
        one = waiting.pop()
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        else:
            found.append(one)
    return found


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a folder; one that brings code of its own is refused."""
    config = read_json(folder / CONFIG, expected="a model's configuration, config.json")
    if code := [key for key in _CODE if key in config]:
        fix = "That code is never run here: load it where you trust it, and pass an encoder object of your own."
        found = f"a model with code of its own ({', '.join(code)})"
        raise FileError(str(folder / CONFIG), found=found, expected="a network of timm or transformers", fix=fix)
    if (folder / "adapter_config.json").is_file():
        fix = "Merge it into its base: PeftModel.merge_and_unload().save_pretrained(folder); then load that folder."
        raise FileError(str(folder), found="an adapter (LoRA) beside a network", expected="whole weights", fix=fix)
    return config


def _classifier_rows(name: str, folder: Path | None, tensors: Mapping[str, Tensor]) -> int:
    """Classes of the classifier that is among the tensors, 0 if none is."""
    import timm

    cfg = timm.get_pretrained_cfg(name.split(".")[0], allow_unregistered=True)
    held = read_config(folder).get("pretrained_cfg") if folder else None
    said = held.get("classifier") if isinstance(held, dict) else None
    said = said[0] if isinstance(said, list) and said else said
    head = said if isinstance(said, str) and said else (cfg.classifier if cfg else None) or "head"
    key = f"{head if isinstance(head, str) else head[0]}.weight"
    return int(tensors[key].shape[0]) if key in tensors else 0


def resolved(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with classes in the place of their names."""
    from timm.layers.mlp import SwiGLUPacked

    classes = {"SwiGLUPacked": SwiGLUPacked, "SiLU": torch.nn.SiLU, "GELU": torch.nn.GELU, "ConvStem": ConvStem}
    kept = {key: value for key, value in options.items() if key != "num_classes"}  # the weights say how many
    return {key: classes.get(value, value) if isinstance(value, str) else value for key, value in kept.items()}


def _loaded(module: nn.Module, name: str, weights: str, options: Mapping[str, Any], origin: dict[str, Any]) -> Loaded:
    loaded = Loaded(name=name, module=module, weights=weights, origin=origin)
    loaded.built = {"architecture": name, "options": {key: str(value) for key, value in sorted(options.items())}}
    if hasattr(module, "pretrained_cfg"):
        try:
            _take_stated(loaded, module)
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError) as error:
            fix = "Take its config.json from its source again, or pass the module itself."
            expected = "input_size, mean, std and interpolation"
            raise FileError(f"{name}: pretrained_cfg", found=repr(error), expected=expected, fix=fix) from error
    return loaded


def _take_stated(loaded: Loaded, module: Any) -> None:
    """Take what a network of timm says of its input."""
    from timm.data.config import resolve_model_data_config

    data = resolve_model_data_config(module)
    fixed = body(module).fixed_size  # what it is built for may not be what it says
    loaded.size = fixed or int(data["input_size"][-1])
    loaded.interpolation = str(data["interpolation"])
    loaded.mean, loaded.std = tuple(map(float, data["mean"])), tuple(map(float, data["std"]))
