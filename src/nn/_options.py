"""Checks of configuration fields, and what all configurations of models share."""

import math
from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor, nn

from .._errors import OptionError


def check(field: str, value: object, ok: bool, expected: str) -> None:  # noqa: FBT001
    """Refuse a value, naming the field and what it may be."""
    if not ok:
        raise OptionError(field, found=repr(value), expected=expected, fix="Leave it out for the default.")


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number (True is none) of at least ``least``."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object, low: float, high: float = float("inf")) -> bool:
    """Whether a value is a finite number within bounds, both included."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and low <= value <= high


class Config(Protocol):
    """Frozen dataclass of a model's options; knows the module that they describe."""

    def build(self, sizes: Mapping[str, int]) -> nn.Module:
        """Make the module for inputs of these widths, with fresh weights."""
        ...


class Fusion(Protocol):
    """What a fusion module does; batches are dicts of tensors with one row a spot (see ``Batch``)."""

    def start(self, batch: dict[str, Tensor]) -> None:
        """Fit input statistics before training."""
        ...

    def loss(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Losses by name; ``"loss"`` is the one to minimise."""
        ...

    def finish(self, batch: dict[str, Tensor]) -> None:
        """Fit what follows the trained weights."""
        ...

    def embed(self, batch: dict[str, Tensor], modality: str) -> Tensor:
        """Vectors of ``"both"``, or of ``"image"`` or ``"genes"`` alone in the joint space."""
        ...

    def __call__(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """Joint-space vectors of both modalities."""
        ...
