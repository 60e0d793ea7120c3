"""Weights from files into a network, wholly or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from ..._errors import FileError
from ._pickles import Trust, check_plain, is_pickle, read_pickle, refuse


def read_weights(path: str | Path, trust: Trust) -> Any:
    """Content of a weights file; code in a pickle is never run.

    Raises
    ------
    FileError
        It is broken, a pickle that nobody asked for, or holds more than tensors and plain values.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileError(str(path), found=found, expected="a weights file", fix="Check the path.")
    if is_pickle(path.name):
        if not trust.pickles:
            refuse(str(path), trust)
        return read_pickle(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError) as error:
        fix = "The file is broken or no weights file: download or copy it again."
        raise FileError(str(path), found=str(error)[:200], expected="safetensors", fix=fix) from error


def read_tensors(paths: list[Path], trust: Trust) -> dict[str, Tensor]:
    """Tensors by name, of one file or of several shards."""
    tensors: dict[str, Tensor] = {}
    for path in paths:
        held = read_weights(path, trust)
        if not isinstance(held, dict) or not all(isinstance(value, Tensor) for value in held.values()):
            fix = "Convert it with hs.nn.convert_weights(path, folder, architecture=..., allow_pickle_weights=True)."
            raise FileError(str(path), found="a nested checkpoint", expected="tensors by name", fix=fix)
        check_plain(held, path)
        if twice := sorted(set(held) & set(tensors)):
            fix = "Download or copy the whole folder again."
            raise FileError(str(path), found=f"{twice[:4]} a second time", expected="each tensor once", fix=fix)
        tensors |= {str(name): value for name, value in held.items()}
    return tensors


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
    if off and all("pos_embed" in fault for fault in off):
        return "Its position embedding is of another input size: build it at that size, options={'img_size': ...}."
    return "Weights and architecture are not of one model: check the name and options=."
