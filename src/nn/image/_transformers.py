"""Vision transformers of the package transformers; the code of a repository is never run."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from ..._errors import FileError, OptionError
from .._seed import seeded
from ._hub import weights_in
from ._loaded import Loaded
from ._timm import read_config
from ._weights import hash_files, hash_tensors

PROCESSOR = "preprocessor_config.json"
_RESAMPLE = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_NOT_IMAGE = ("text_model.", "text_projection.", "logit_scale", "classifier.", "mask_token")


def from_folder(folder: Path, options: Mapping[str, Any]) -> Loaded:
    """Network of a folder in the layout of transformers."""
    config = read_config(folder)
    if options:
        fix = "Leave them out: they are for networks of timm."
        raise OptionError("options", found=str(dict(options)), expected="none for transformers", fix=fix)
    if "model_type" not in config:
        fix = "Is it a folder of timm's? Then use local-dir: or hf-hub:."
        raise FileError(str(folder / "config.json"), found="no model_type", expected="a transformers model", fix=fix)
    paths = weights_in(folder)
    loaded = Loaded(name=folder.name, module=_load(folder, config), weights=hash_files(paths))
    loaded.built = {"architecture": f"transformers {config['model_type']}"}
    loaded.origin = {"source": f"transformers:{folder}"}
    image = config.get("vision_config", config).get("image_size")
    loaded.size = int(image) if isinstance(image, int) else 224
    _processed(folder, loaded)
    return loaded


def from_module(module: Any, name: str | None) -> Loaded:
    """Take a user's own network as it is now."""
    loaded = Loaded(name=name or type(module).__name__, module=module, weights=hash_tensors(module.state_dict()))
    loaded.built = {"architecture": f"transformers {module.config.model_type}"}
    loaded.origin = {"source": f"own module {type(module).__name__}"}
    config = getattr(module.config, "vision_config", module.config)
    loaded.size = int(getattr(config, "image_size", 224))
    return loaded


def _load(folder: Path, config: Mapping[str, Any]) -> nn.Module:
    import transformers

    if "auto_map" in config and config["model_type"] not in transformers.CONFIG_MAPPING:
        fix = "Load it where you trust that code, and pass an object of your own."
        raise FileError(str(folder), found="a model with code of its own", expected="one of transformers'", fix=fix)
    kind: Any = transformers.AutoModel
    options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False, "weights_only": True}
    try:
        with seeded(0), _quiet():
            if config["model_type"] == "clip":  # of the two towers the image's, with its projection
                kind, both = transformers.CLIPVisionModelWithProjection, transformers.CLIPConfig.from_pretrained(folder)
                vision: Any = both.vision_config
                vision.projection_dim = both.projection_dim
                options["config"] = vision
            module, told = kind.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **options
            )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        fix = "Copy the folder again; weights and configuration must be of one model."
        found = str(error).strip().split("\n")[0][:300]
        raise FileError(str(folder), found=found, expected="a model of transformers", fix=fix) from error
    _check(module, told, folder)
    network: nn.Module = module.float()
    return network


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
    stated = json.loads((folder / PROCESSOR).read_text(encoding="utf-8"))
    if stated.get("do_normalize", True) and "image_mean" in stated:
        loaded.mean, loaded.std = tuple(stated["image_mean"]), tuple(stated["image_std"])
    loaded.interpolation = _RESAMPLE.get(stated.get("resample"), loaded.interpolation)
    size = stated.get("crop_size") if stated.get("do_center_crop") else stated.get("size")
    side = size.get("height", size.get("shortest_edge")) if isinstance(size, dict) else size
    loaded.size = int(side) if side else loaded.size


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from drawing bars and reporting; what it would say is checked here."""
    from transformers.utils import logging as said

    level, bars = said.get_verbosity(), said.is_progress_bar_enabled()
    said.set_verbosity(logging.CRITICAL)
    said.disable_progress_bar()
    try:
        yield
    finally:
        said.set_verbosity(level)
        if bars:
            said.enable_progress_bar()
