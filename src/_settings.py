"""Package-wide settings: plain values that every function falls back to."""

import logging
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from ._errors import OptionError

_PRECISIONS = ("32", "bf16")


def _default_cache() -> Path:
    named = os.environ.get("HISTOSCRIBE_CACHE")
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(named) if named else Path(base) / "histoscribe"


@dataclass(kw_only=True)
class Settings:
    """Defaults shared by all functions; assign to change them, as in ``hs.settings.device = "cpu"``.

    Attributes
    ----------
    device
        Name of a torch device; None takes cuda, then mps, then cpu.
    precision
        Arithmetic of encoders, and of training where a ``TrainConfig`` does not say it: ``"32"`` or ``"bf16"``. On a CPU
        without arithmetic for bf16 (AVX512-BF16 or AMX, as ``lscpu`` says) the second is several times slower.
    progress
        Whether long work shows a progress bar.
    verbosity
        What the log ``histoscribe`` says: 0 errors, 1 warnings, 2 what was resolved and left out, 3 everything.
    cache_dir
        Where downloads, encoded features and the tokens of files are kept.
    """

    device: str | None = None
    precision: str = "32"
    progress: bool = True
    verbosity: int = 1
    cache_dir: Path = field(default_factory=_default_cache)

    def __setattr__(self, name: str, value: Any) -> None:
        known = [f.name for f in fields(self)]
        if name not in known:
            raise OptionError("settings", found=repr(name), expected=f"one of {known}", fix="Check the spelling.")
        if name == "precision" and value not in list(_PRECISIONS):
            raise OptionError(
                "settings.precision", found=repr(value), expected=f"one of {_PRECISIONS}", fix="Set one of these."
            )
        if name == "device" and type(value).__name__ == "device":  # torch's, which is not imported here
            value = str(value)
        _check(name, value)
        super().__setattr__(name, Path(value) if name == "cache_dir" else value)
        if name == "verbosity":
            _set_level(value)


def _check(name: str, value: Any) -> None:
    kinds: dict[str, tuple[bool, str]] = {
        "device": (value is None or isinstance(value, str), "the name of a torch device, or None"),
        "progress": (isinstance(value, bool), "True or False"),
        "verbosity": (type(value) is int and value in range(4), "0, 1, 2 or 3"),
        "cache_dir": (isinstance(value, (str, Path)) and "\0" not in str(value), "the path of a folder"),
    }
    ok, expected = kinds.get(name, (True, ""))
    if not ok:
        raise OptionError(f"settings.{name}", found=repr(value), expected=expected, fix=f"Set it to {expected}.")


def _set_level(verbosity: int) -> None:
    """Let the package's log through as far as asked; a handler is added only for what Python would not print itself."""
    log = logging.getLogger("histoscribe")
    log.setLevel((logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)[verbosity])
    if verbosity > 1 and not log.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("histoscribe: %(message)s"))
        log.addHandler(handler)


settings = Settings()
