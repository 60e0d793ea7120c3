"""Checks of what the user passed as an option."""

import math

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
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def is_number(value: object, low: float, high: float = float("inf")) -> bool:
    """Whether a value is a finite number within bounds, both included."""
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and math.isfinite(value)
        and low <= value <= high
    )
