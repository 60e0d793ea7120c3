"""Vision transformers of the package transformers; the code of a repository is never run."""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from ..._errors import FileError, OptionError
from ..._json import read_json
from .._budget import within
from .._seed import seeded
from ._bodies import check_kind
from ._hash_module import hash_module
from ._hashes import check_hash, hash_tensors
from ._hub import weights_in
from ._loaded import Loaded
from ._pickles import Trust
from ._timm import read_config
from ._weights import read_tensors

PROCESSOR = "preprocessor_config.json"
_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_LARGEST = 1_000_000
_IGNORED = {"quantization_config", "fusion_config", "transformers_weights", "dtype", "torch_dtype", "kernel_config"}
_IGNORED |= {"num_labels", "id2label", "label2id", "distributed_config", "adapters"}
_NOT_IMAGE = ("text_model.", "text_projection.", "logit_scale", "classifier.", "mask_token")


def from_folder(folder: Path, options: Mapping[str, Any], trust: Trust, *, sha256: str | None = None) -> Loaded:
    """Network of a folder in the layout of transformers."""
    config = read_config(folder)
    if options:
        fix = "Leave them out: they are for networks of timm."
        raise OptionError("options", found=str(dict(options)), expected="none for transformers", fix=fix)
    kind = config.get("model_type")
    if not isinstance(kind, str):
        fix = "Is it a folder of timm's? Then use local-dir: or hf-hub:."
        raise FileError(str(folder / "config.json"), found="no model_type", expected="a transformers model", fix=fix)
    check_kind(kind)
    paths = weights_in(folder, trust)
    weights = check_hash(paths, sha256)
    module = _load(folder, config, read_tensors(paths, trust))
    loaded = Loaded(name=folder.name, module=module, weights=weights)
    loaded.built = {"architecture": f"transformers {kind}"}
    loaded.origin = {"source": f"transformers:{folder}"}
    image = getattr(module.config, "image_size", None)
    loaded.size = image if isinstance(image, int) else 224
    _processed(folder, loaded)
    return loaded


def from_module(module: Any, name: str | None) -> Loaded:
    """Take a user's own network as it is now."""
    loaded = Loaded(name=name or type(module).__name__, module=module, weights=hash_tensors(module.state_dict()))
    loaded.built = {"architecture": f"transformers {module.config.model_type}", "module": hash_module(module)}
    loaded.origin = {"source": f"own module {type(module).__name__}"}
    config = getattr(module.config, "vision_config", module.config)
    loaded.size = int(getattr(config, "image_size", 224))
    return loaded


def _load(folder: Path, config: Mapping[str, Any], tensors: dict[str, Tensor]) -> Any:
    """Build the network and fill it; transformers gets tensors and numbers, and opens no file by itself."""
    import transformers

    stated = numbers_of(config, str(folder / "config.json"))
    with within(tensors, str(folder), "a model of transformers"), seeded(0), _quiet():
        described: Any = transformers.CONFIG_MAPPING[config["model_type"]].from_dict(stated)
        kind: Any = transformers.MODEL_MAPPING[type(described)]
        if config["model_type"] == "clip":  # of the two towers the image's, with its projection
            kind, vision = transformers.CLIPVisionModelWithProjection, described.vision_config
            vision.projection_dim = described.projection_dim
            described = vision
        module, told = kind.from_pretrained(
            None, config=described, state_dict=tensors, output_loading_info=True, ignore_mismatched_sizes=True
        )
        module = module.float()
    _check(module, told, folder)
    return module


def numbers_of(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Take a configuration without what would make transformers fetch, quantise or replace anything."""
    kept: dict[str, Any] = {}
    for name, value in config.items():
        if name in _IGNORED or name.startswith(("_", "attn_implementation", "experts_implementation")):
            continue
        if isinstance(value, int | float) and not abs(value) <= _LARGEST:
            fix = "Its configuration is broken: take it from its source again."
            found = f"{name} = {str(value)[:40]}"
            raise FileError(source, found=found, expected=f"numbers up to {_LARGEST:,}", fix=fix)
        kept[name] = numbers_of(value, source) if isinstance(value, dict) else value
    return kept


def _check(module: Any, told: Mapping[str, Any], folder: Path) -> None:
    """Refuse a partial load; a pooler that was never trained is dropped, so that none of its noise is handed out."""
    missing = [str(name) for name in told["missing_keys"]]
    if missing and all(name.startswith("pooler.") for name in missing):
        module.pooler, missing = None, []
    left = [str(name) for name in told["unexpected_keys"] if not str(name).startswith(_NOT_IMAGE)]
    off = [f"{row[0]} {tuple(row[1])} for {tuple(row[2])}" for row in told["mismatched_keys"]]
    if faults := off + [f"{name} missing" for name in missing] + [f"{name} left over" for name in left]:
        own = module.state_dict()
        bad = {*missing, *(str(row[0]) for row in told["mismatched_keys"])}
        total = sum(value.numel() for value in own.values())
        matched = sum(value.numel() for name, value in own.items() if name not in bad)
        found = f"{matched / max(total, 1):.1%} of the parameters matched; {len(faults)} off: {'; '.join(faults[:4])}"
        fix = "Weights and configuration are not of one model: copy the folder again."
        raise FileError(str(folder), found=found, expected=f"the tensors of {type(module).__name__}", fix=fix)


def _processed(folder: Path, loaded: Loaded) -> None:
    """Take mean, std, size and interpolation from the folder's image processor."""
    if not (folder / PROCESSOR).is_file():
        return
    stated = read_json(folder / PROCESSOR)
    try:
        _take_stated(loaded, stated)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        fix = "Take it from its source again."
        expected = "size, image_mean, image_std and resample"
        raise FileError(str(folder / PROCESSOR), found=repr(error), expected=expected, fix=fix) from error


def _take_stated(loaded: Loaded, stated: Mapping[str, Any]) -> None:
    if stated.get("do_normalize", True) and "image_mean" in stated:
        loaded.mean, loaded.std = tuple(map(float, stated["image_mean"])), tuple(map(float, stated["image_std"]))
    loaded.interpolation = _RESAMPLE.get(stated.get("resample", 0), loaded.interpolation)
    size = stated.get("crop_size") if stated.get("do_center_crop") else stated.get("size")
    side = size.get("height", size.get("shortest_edge")) if isinstance(size, dict) else size
    loaded.size = int(side) if side else loaded.size


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and reporting; what it would say is checked here."""
    from transformers.utils import logging as said

    level, bars = said.get_verbosity(), said.is_progress_bar_enabled()
    try:
        said.set_verbosity(logging.CRITICAL)
        said.disable_progress_bar()
        yield
    finally:
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()
