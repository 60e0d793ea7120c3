"""Parameters that only ``make weekly`` tries."""

from typing import Any

import pytest


def weekly(*values: Any) -> list[Any]:
    """Values of a parameter, marked weekly; a tuple is the values of several parameters."""
    return [
        pytest.param(*(one if isinstance(one, tuple) else (one,)), marks=pytest.mark.weekly, id=_id(one))
        for one in values
    ]


def _id(value: Any) -> str | None:
    return value if isinstance(value, str) else None
