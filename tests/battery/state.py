"""What a process shares with all its libraries, and a call must leave as it was."""

import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from dataclasses import asdict
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch

import histoscribe as hs


def draw() -> None:
    """Move random states on, so that one that is seeded anew is seen."""
    random.random()
    np.random.random()  # noqa: NPY002
    torch.rand(1)


def snapshot() -> dict[str, Any]:
    """Everything of it, by name."""
    gc.collect()
    gc.freeze()  # a million objects of the libraries, which the next collection need not look through
    return {
        "random": random.getstate(),
        "numpy.random": str(np.random.get_state()),  # noqa: NPY002
        "numpy.errstate": np.geterr(),
        "numpy.print": str(np.get_printoptions()),
        "pandas": {name: pd.get_option(name) for name in ("display.max_rows", "display.precision")},
        **_torch(),
        "rcParams": {key: str(value) for key, value in mpl.rcParams.items()},
        "figures": plt.get_fignums(),
        "warnings": [str(one) for one in warnings.filters],
        "environ": dict(os.environ),
        "folder": (os.getcwd(), sorted(os.listdir())),
        "locale": locale.setlocale(locale.LC_ALL),
        "logging": _loggers(),
        "sys.path": list(sys.path),
        "hooks": (sys.excepthook, sys.gettrace(), threading.excepthook),
        "signals": {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)},
        "settings": asdict(hs.settings),
        "open files": _open_files(),
        "threads": sorted(thread.name for thread in threading.enumerate()),
    }


def changed(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What differs, with both values; of a dictionary the entries that do."""
    found = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
    return {name: _entries(*both) if isinstance(both[0], dict) else both for name, both in found.items()}


def _entries(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    names = [name for name in before | after if before.get(name) != after.get(name)]
    return {name: (before.get(name), after.get(name)) for name in names}


def _torch() -> dict[str, Any]:
    return {
        "torch.random": torch.get_rng_state().tolist(),
        "torch.threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "torch.grad": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
        "torch.dtype": torch.get_default_dtype(),
        "torch.deterministic": (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
            torch.backends.cudnn.benchmark,
            torch.get_float32_matmul_precision(),
        ),
    }


def _loggers() -> dict[str, Any]:
    names = [name for name, one in logging.root.manager.loggerDict.items() if isinstance(one, logging.Logger)]
    loggers = {name: logging.getLogger(name) for name in names} | {"root": logging.root}
    told = {name: (one.level, list(one.handlers), one.propagate, one.disabled) for name, one in loggers.items()}
    fresh: tuple[Any, ...] = (logging.NOTSET, [], True, False)  # one that was only asked for is as good as none
    return {name: one for name, one in told.items() if one != fresh} | {"disabled": logging.root.manager.disable}


def _open_files() -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd") if os.path.isdir("/proc/self/fd") else []:
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:  # the one that listed them
            continue
        if not target.startswith("/proc/"):
            found.append(target)
    return sorted(found)
