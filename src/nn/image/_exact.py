"""Arithmetic of a forward pass: full float32 or bfloat16, whatever switches the user has set, and those given back."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

PRECISIONS = ("32", "bf16")
_lock = threading.Lock()
_inside = 0  # threads that compute: the first in saves the switches, the last out gives them back
_saved: list[tuple[Any, str, Any]] = []


def _switches() -> list[tuple[Any, str, Any]]:
    """Everything that lets torch replace float32 by something shorter: owner, attribute, strict value."""
    backends: Any = torch.backends
    if hasattr(backends, "fp32_precision"):
        owners = (backends.cuda.matmul, backends.cudnn.conv, backends.mkldnn.matmul, backends.mkldnn.conv)
        return [(owner, "fp32_precision", "ieee") for owner in owners]
    return [(backends.cuda.matmul, "allow_tf32", False), (backends.cudnn, "allow_tf32", False)]


@contextmanager
def full_float32() -> Iterator[None]:
    """Run a block without TF32 and the like; safe in several threads."""
    global _inside
    with _lock:
        if _inside == 0:
            for owner, name, strict in _switches():
                _saved.append((owner, name, getattr(owner, name)))
                setattr(owner, name, strict)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            while _inside == 0 and _saved:
                owner, name, value = _saved.pop()
                setattr(owner, name, value)


@contextmanager
def arithmetic(precision: str, device: torch.device) -> Iterator[None]:
    """Run a forward pass without gradients in ``"32"`` or ``"bf16"``."""
    with torch.inference_mode():
        if precision == "bf16":
            with torch.autocast(device.type, dtype=torch.bfloat16):
                yield
        else:
            with torch.autocast(device.type, enabled=False), full_float32():
                yield


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that the device is full."""
    said = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in said for sign in signs)
    )
