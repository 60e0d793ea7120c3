"""Where computation runs: the argument, then the settings, then cuda, mps, cpu."""

import logging

import torch

from .._errors import OptionError
from .._settings import settings

_log = logging.getLogger("histoscribe")


def choose_device(device: str | None = None) -> torch.device:
    """Resolve a device name, checking that the machine has it.

    Parameters
    ----------
    device
        Name such as ``"cpu"`` or ``"cuda:1"``; None takes ``settings.device``, then the first of cuda, mps and cpu.

    Raises
    ------
    OptionError
        No such device here.
    """
    name = device or settings.device
    if name is None:
        present = _present()
        _log.info("device %s, the first of %s", present[0], present)
        return torch.device(present[0])
    try:
        chosen = torch.device(name)
    except RuntimeError as error:
        raise _refusal(name, "no name of a device") from error
    if chosen.type not in _present():
        raise _refusal(name, f"no usable {chosen.type} device on this machine")
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise _refusal(name, f"{torch.cuda.device_count()} cuda devices on this machine")
    return chosen


def _present() -> list[str]:
    cuda = ["cuda"] if torch.cuda.is_available() else []
    mps = ["mps"] if torch.backends.mps.is_available() else []
    return [*cuda, *mps, "cpu"]


def _refusal(name: str, found: str) -> OptionError:
    fix = "Pass device='cpu', or leave device= and settings.device out."
    return OptionError("device", found=f"{name!r}: {found}", expected=f"one of {_present()}", fix=fix)
