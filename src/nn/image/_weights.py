"""Weights from files: safetensors, or pickles that hold nothing but tensors; and into a network, wholly or not at all."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..._errors import FileError
from ..._files import sha256


def read_weights(path: str | Path) -> Any:
    """Content of a weights file; code in a pickle is never run.

    Raises
    ------
    FileError
        It is broken, or holds more than tensors and plain values.
    """
    path = Path(path)
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileError(str(path), found="nothing", expected="a weights file", fix="Check the path.") from None
    except pickle.UnpicklingError as error:
        fix = "Ask its authors for safetensors, or save only its state_dict() where you trust it."
        reason = str(error).strip().splitlines()[-1] if "Unsupported" in str(error) else str(error).split("\n")[0]
        raise FileError(str(path), found=f"a pickle that is refused ({reason})", expected="tensors", fix=fix) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        fix = "The file is broken or no weights file: download or copy it again."
        raise FileError(str(path), found=str(error)[:200], expected="safetensors or .pth", fix=fix) from error


def read_tensors(paths: list[Path]) -> dict[str, Tensor]:
    """Tensors by name, of one file or of several shards."""
    tensors: dict[str, Tensor] = {}
    for path in paths:
        held = read_weights(path)
        if not isinstance(held, dict) or not all(isinstance(value, Tensor) for value in held.values()):
            fix = "Convert it with hs.nn.convert_weights(path, folder, architecture=...)."
            raise FileError(str(path), found="a nested checkpoint", expected="tensors by name", fix=fix)
        tensors |= held
    return tensors


def hash_files(paths: list[Path]) -> str:
    """Hash of a file's content; of several, of their hashes."""
    hashes = [sha256(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes, types and content, tensor by tensor: no second copy of the whole."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def fill(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """Fill a network with exactly its tensors.

    Raises
    ------
    FileError
        A tensor is missing, left over or of another shape; the message has the share of parameters that would match.
    """
    own = module.state_dict()
    off = [
        f"{name} {tuple(tensors[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if _differs(own, tensors, name)
    ]
    missing = [f"{name} missing" for name in own if name not in tensors]
    left = [f"{name} left over" for name in tensors if name not in own]
    if faults := off + missing + left:
        matched = sum(
            value.numel() for name, value in own.items() if name in tensors and not _differs(own, tensors, name)
        )
        total = sum(value.numel() for value in own.values())
        found = f"{matched / max(total, 1):.1%} of the parameters matched; {len(faults)} tensors off: {'; '.join(faults[:4])}"
        raise FileError(
            source, found=found, expected=f"the {len(own)} tensors of {type(module).__name__}", fix=_fix(off)
        )
    module.load_state_dict(dict(tensors))


def _differs(own: Mapping[str, Tensor], tensors: Mapping[str, Tensor], name: str) -> bool:
    return name in tensors and tensors[name].shape != own[name].shape


def _fix(off: list[str]) -> str:
    if any("pos_embed" in fault for fault in off):
        return "Its position embedding is of another input size: build it at that size, options={'img_size': ...}."
    return "Weights and architecture are not of one model: check the name and options=."
