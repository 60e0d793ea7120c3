"""Models on disk: a folder of ``model.safetensors`` and ``config.json``, renamed into place as a whole. No pickle."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import safetensors.torch as st
from safetensors import SafetensorError
from torch import Tensor, nn

from .._errors import FileError

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
        ``path`` is there and is no model: it will not be replaced.
    """
    path = Path(path)
    new, old = _beside(path)
    _recover(path)
    if path.exists() and not (path.is_dir() and {p.name for p in path.iterdir()} <= {WEIGHTS, CONFIG}):
        fix = "Name a new folder: saving replaces it as a whole."
        raise FileError(str(path), found="something that is no model", expected="a model or nothing", fix=fix)
    shutil.rmtree(new, ignore_errors=True)  # what a killed save left
    new.mkdir(parents=True)
    header = {"format": FORMAT, "version": version("histoscribe")}
    _write(new / WEIGHTS, _bytes(tensors))
    _write(new / CONFIG, json.dumps({**header, **config}, indent=1, allow_nan=False).encode())
    if path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _beside(path: Path) -> tuple[Path, Path]:
    return path.with_name(f".{path.name}.new"), path.with_name(f".{path.name}.old")


def _recover(path: Path) -> None:
    """Put the old model back if a save was killed between its two renames."""
    old = _beside(path)[1]
    if old.exists():
        if path.exists():
            shutil.rmtree(old)
        else:
            old.rename(path)


def read_folder(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and configuration of a folder.

    Raises
    ------
    FileError
        A file is missing or broken, or of a newer format.
    """
    path = Path(path)
    _recover(path)
    for name in (CONFIG, WEIGHTS):
        if not (path / name).is_file():
            fix = "Pass the folder that Model.save wrote."
            raise FileError(str(path / name), found="nothing", expected="a saved model", fix=fix)
    try:
        config = json.loads((path / CONFIG).read_text(encoding="utf-8"))
        found = config["format"]
    except (ValueError, KeyError, TypeError) as error:
        fix = "Save the model again."
        raise FileError(str(path / CONFIG), found=repr(error), expected="what Model.save wrote", fix=fix) from error
    if found != FORMAT:
        fix = f"It was written by histoscribe {config.get('version')}: install that version or a later one."
        raise FileError(str(path / CONFIG), found=f"format {found}", expected=f"format {FORMAT}", fix=fix)
    try:
        return st.load_file(path / WEIGHTS), config
    except (SafetensorError, OSError) as error:
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
