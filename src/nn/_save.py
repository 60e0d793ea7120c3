"""Models on disk: a folder of ``model.safetensors`` and ``config.json``, renamed into place as a whole. No pickle."""

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch as st
from safetensors import SafetensorError
from torch import Tensor, nn

from .._errors import FileError
from .._files import atomic_folder, recover
from .._json import read_json

FORMAT = 1
WEIGHTS, CONFIG = "model.safetensors", "config.json"


def fingerprint(tensors: Mapping[str, Tensor], described: Mapping[str, Any]) -> str:
    """Hash of weights and of what is said about them: either alone would let two models share a name."""
    digest = hashlib.sha256(json.dumps(described, sort_keys=True).encode())
    digest.update(_bytes(tensors))
    return digest.hexdigest()


def _bytes(tensors: Mapping[str, Tensor]) -> bytes:
    return st.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})


def write_folder(path: str | Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write a model beside ``path`` and rename it into place; whatever stops this, the old model stays.

    Raises
    ------
    FileError
        ``path`` is there and is no model: it will not be replaced. Or it can't be written.
    """
    path = Path(path)
    recover(path)
    if path.is_symlink():
        fix = "Name the folder it leads to, or delete the link: what a link leads to is not replaced."
        raise FileError(str(path), found=f"a link to {path.resolve()}", expected="a folder", fix=fix)
    if path.exists() and not (path.is_dir() and {p.name for p in path.iterdir()} <= {WEIGHTS, CONFIG}):
        fix = "Name a new folder: saving replaces it as a whole."
        raise FileError(str(path), found="something that is no model", expected="a model or nothing", fix=fix)
    header = {"format": FORMAT, "version": version("histoscribe")}
    with atomic_folder(path) as beside:
        (beside / WEIGHTS).write_bytes(_bytes(tensors))
        # Last, because it holds the hash of all: there and matching is whole.
        (beside / CONFIG).write_bytes(json.dumps({**header, **config}, indent=1, allow_nan=False).encode())


def read_folder(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and configuration of a folder.

    Raises
    ------
    FileError
        A file is missing or broken, or of a newer format.
    """
    path = Path(path)
    recover(path)
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            fix = "Pass the folder that Model.save wrote."
            raise FileError(str(path / name), found="nothing", expected="a saved model", fix=fix)
    config = read_json(path / CONFIG, expected="what Model.save wrote")
    found = config.get("format")
    if found != FORMAT:
        fix = f"It was written by histoscribe {config.get('version')}: install that version or a later one."
        raise FileError(str(path / CONFIG), found=f"format {found}", expected=f"format {FORMAT}", fix=fix)
    try:
        return st.load_file(path / WEIGHTS), config
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        fix = "The file is broken: copy or save it again."
        raise FileError(str(path / WEIGHTS), found=str(error), expected="safetensors", fix=fix) from error


def load_strict(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill a module, or name every tensor that is missing, left over or of another shape.

    Raises
    ------
    FileError
        The tensors are not exactly the module's.
    """
    own = module.state_dict()
    faults = [f"{name} missing" for name in own if name not in tensors]
    faults += [f"{name} left over" for name in tensors if name not in own]
    for name in sorted(own.keys() & tensors.keys()):
        saved, wanted = tuple(tensors[name].shape), tuple(own[name].shape)
        if saved != wanted:
            faults.append(f"{name} {saved} for {wanted}")
    if faults:
        fix = "Weights and configuration are not of one model: load the folder as it was saved."
        found = f"{len(faults)} tensors off: {'; '.join(faults[:5])}"
        raise FileError(source, found=found, expected=f"the {len(own)} tensors of {type(module).__name__}", fix=fix)
    module.load_state_dict(dict(tensors))
