"""Checks of what the user passed as an option."""

import math
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._errors import OptionError


def check(
    field: str,
    value: object,
    ok: bool,  # noqa: FBT001
    expected: str,
    *,
    fix: str = "Leave it out for the default.",
) -> None:
    """Refuse a value, naming the field and what it may be."""
    if not ok:
        raise OptionError(field, found=repr(value), expected=expected, fix=fix)


def is_count(value: object, least: int = 1) -> bool:
    """Whether a value is a whole number (True is none) of at least ``least``."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool) and bool(value >= least)


def is_number(value: object, low: float, high: float = float("inf")) -> bool:
    """Whether a value is a finite number within bounds, both included."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    try:
        return math.isfinite(value) and bool(low <= value <= high)
    except OverflowError:  # a whole number beyond all floats
        return False


def is_flag(value: object) -> bool:
    """Whether a value is True or False, Python's or numpy's."""
    return isinstance(value, (bool, np.bool_))


def to_python(options: Any) -> None:
    """Turn numpy's scalars among the options of a frozen dataclass into Python's, as which they are compared and stored."""
    for option in fields(options):
        value = getattr(options, option.name)
        if isinstance(value, np.generic):
            object.__setattr__(options, option.name, value.item())


def numbers(field: str, value: Any, *, fix: str = "Pass an array of numbers.") -> NDArray[np.float64]:
    """Return an array of float64, or refuse what can't be one."""
    try:
        return np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        found = f"{type(value).__name__} ({error})"
        raise OptionError(field, found=found, expected="numbers", fix=fix) from error
