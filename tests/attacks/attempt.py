"""Tries every attack on every loader that could meet it, in a process of its own; a line of JSON for each."""

import json
import os
import resource
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import timm  # loaded before the first measure
import transformers

import histoscribe as hs

from .table import ATTACKS, Attack

_LIMIT = 4 << 30  # a guard that fails must not take the machine with it
_LOADED = (timm, transformers, transformers.CLIPVisionModelWithProjection)


def _peak_mb() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) // 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _now_mb() -> int:
    """Memory now; the peak starts anew from it, where the system lets it."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return 0
    return _peak_mb()


def _outcome(call: Any, canary: Path) -> dict[str, Any]:
    before = _now_mb()
    error: BaseException | None = None
    try:
        call()
    except BaseException as raised:  # noqa: BLE001
        error = raised
    ran = canary.exists()
    canary.unlink(missing_ok=True)
    return {
        "error": None if error is None else type(error).__name__,
        "ours": isinstance(error, hs._errors.HistoscribeError),
        "says": str(error)[:500],
        "canary": ran,
        "mb": _peak_mb() - before,
    }


def _try(attack: Attack, place: Path) -> None:
    place.mkdir()
    canary = place / "canary"
    huggingface_hub.constants.HF_HUB_CACHE = str(place / "hub")
    for loader, call in attack.make(place, canary).items():
        line = {"attack": attack.name, "loader": loader, **_outcome(call, canary)}
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()
    shutil.rmtree(place)


def main(folder: Path) -> None:
    """Try them all."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    hs.settings.cache_dir = folder / "cache"
    warnings.simplefilter("ignore")
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    held = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_DATA, (held + _LIMIT, hard))
    for k, attack in enumerate(ATTACKS):
        _try(attack, folder / str(k))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
