"""Checks of configuration fields, and what all configurations of models share."""

import math
from collections.abc import Mapping
from typing import Protocol

from torch import nn

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
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
    )


class Config(Protocol):
    """Frozen dataclass of a model's options; knows the module that they describe."""

    def build(self, sizes: Mapping[str, int]) -> nn.Module:
        """Make the module for inputs of these widths, with fresh weights."""
        ...
