"""Pickles: refused unless a user asks for one, and then read without running what they hold."""

import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from ..._errors import FileError

_BROKEN = "The file is broken or no weights file: download or copy it again."
_SLACK = 64 << 20


@dataclass(frozen=True)
class Trust:
    """What a user takes from the place that is loaded.

    Parameters
    ----------
    pickles
        Whether pickles may be read.
    call
        The call that would read them, for messages.
    """

    pickles: bool
    call: str


def is_pickle(name: str) -> bool:
    """Whether a weights file is read as a pickle: all but safetensors and their index."""
    return not name.endswith((".safetensors", ".json"))


def refuse(place: str, trust: Trust) -> NoReturn:
    """Say why a pickle is not read, and how to read it all the same."""
    raise FileError(
        place,
        found="weights in a pickle, a format that can run code while it is read",
        expected="safetensors",
        fix=f"Take its safetensors where they exist. If you trust whoever made the file, call {trust.call}: that "
        "reads nothing but tensors and plain values (weights_only=True).",
    )


def read_pickle(path: Path) -> Any:
    """Content of a file of torch.save that holds tensors and plain values alone."""
    _check_archive(path)
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileError(str(path), found="nothing", expected="a weights file", fix="Check the path.") from None
    except Exception as error:  # whatever else the bytes make the reader trip over
        said = str(error).strip() or type(error).__name__
        if type(error).__name__ == "UnpicklingError" or "weights_only" in said:
            fix = "Ask its authors for safetensors, or save only its state_dict() where you trust it."
            named = re.search(r"GLOBAL \S+|Unsupported \w+ \S+|TorchScript|legacy \.tar", said)
            found = f"a pickle that is refused ({named[0] if named else said[:200]})"
            raise FileError(str(path), found=found, expected="tensors", fix=fix) from error
        raise FileError(str(path), found=said[:200], expected="safetensors or .pth", fix=_BROKEN) from error


def _check_archive(path: Path) -> None:
    """Refuse an archive that torch.save can't have written: packed, larger inside than outside, or with paths in it."""
    if not path.is_file() or not zipfile.is_zipfile(path):
        return  # torch once wrote bare pickles
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise FileError(str(path), found=str(error), expected="safetensors or .pth", fix=_BROKEN) from error
    packed = any(one.compress_type != zipfile.ZIP_STORED for one in members)
    outside = [one.filename for one in members if one.filename.startswith("/") or ".." in Path(one.filename).parts]
    linked = [one.filename for one in members if (one.external_attr >> 16) & 0o170000 == 0o120000]
    if packed or outside or linked or sum(one.file_size for one in members) > path.stat().st_size:
        found = f"an archive with {outside or linked}" if outside or linked else "an archive that unpacks to more"
        fix = "Do not use it: no such archive comes from torch.save. Ask its authors for safetensors."
        raise FileError(str(path), found=found, expected="what torch.save wrote", fix=fix)


def check_plain(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse tensors that are not plain numbers in memory, or claim far more of them than the file holds."""
    odd = [n for n, t in tensors.items() if t.layout != torch.strided or t.device.type != "cpu" or t.is_quantized]
    if odd:
        fix = "Save only the state_dict() of the network, as dense tensors."
        raise FileError(str(path), found=f"{odd[:4]} in another layout", expected="dense tensors", fix=fix)
    claimed, size = sum(t.numel() * t.element_size() for t in tensors.values()), path.stat().st_size
    if claimed > 4 * size + _SLACK:
        found = f"tensors of {claimed:,} bytes in a file of {size:,}"
        raise FileError(str(path), found=found, expected="as many numbers as it holds", fix=_BROKEN)
