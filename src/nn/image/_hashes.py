"""Hashes of weights files: computed once, then remembered for as long as the file is the same."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..._errors import FileError
from ..._files import atomic, sha256
from ..._json import read_json
from ..._settings import settings

_NAME = "weights.json"
_SETTLED_NS = 2 * 10**9  # a file that changed just now may change again within one tick of its clock


def hash_files(paths: Sequence[Path]) -> str:
    """Hash of a file's content; of several, of their hashes."""
    hashes = [_remembered(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def hash_tensors(tensors: Mapping[str, Tensor]) -> str:
    """Hash of names, shapes, types and content, tensor by tensor: no second copy of the whole."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def check_hash(paths: Sequence[Path], expected: str | None) -> str:
    """Hash of weights files; refuse those that are not the ones that were recorded."""
    found = hash_files(paths)
    if expected and found != expected:
        # The hub's cache has links; what they lead to would be linked again if it stayed.
        gone = sorted({str(place) for path in paths for place in (path, path.resolve())})
        fix = f"The file is broken or was changed: delete {' and '.join(gone)}, then download or convert it again."
        raise FileError(str(paths[0]), found=f"sha256 {found}", expected=str(expected), fix=fix)
    return found


def _remembered(path: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    # The time of change can't be set back, as that of modification is when archives are unpacked.
    state = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]
    held = _table().get(str(path))
    if isinstance(held, dict) and held.get("state") == state and isinstance(held.get("sha256"), str):
        return str(held["sha256"])
    digest = sha256(path)
    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > _SETTLED_NS:
        _remember(str(path), {"state": state, "sha256": digest})
    return digest


def _table() -> dict[str, Any]:
    try:
        return read_json(settings.cache_dir / _NAME)
    except FileError:
        return {}


def _remember(path: str, line: dict[str, Any]) -> None:
    kept = {place: held for place, held in _table().items() if Path(place).is_file()}
    try:
        with atomic(settings.cache_dir / _NAME) as beside:
            beside.write_text(json.dumps(kept | {path: line}, indent=1), encoding="utf-8")
    except (OSError, FileError):
        return  # it is hashed again next time
