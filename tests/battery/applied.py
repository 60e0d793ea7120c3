"""To which functions a check applies, on which of them it runs weekly, and which are expected to fail it."""

import os
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from .call import Call
from .calls import CALLS
from .expected import EXPECTED


def every(call: Call) -> bool:
    """All functions, the slow ones too."""
    return True


def applied(
    check: str, to: Callable[[Call], bool] = every, *, quick: Callable[[Call], bool] = lambda call: not call.slow
) -> Any:
    """Parametrize a test over the calls that it applies to; expected failures must fail.

    It runs weekly on those that are not ``quick``: as a rule, those whose call is slow.
    """
    return pytest.mark.parametrize("call", list(_params(check, (c for c in CALLS.values() if to(c)), quick)))


def _params(check: str, calls: Iterable[Call], quick: Callable[[Call], bool]) -> Iterable[Any]:
    for call in calls:
        marks: list[Any] = [] if quick(call) else [pytest.mark.weekly]
        if call.needs_data and not os.path.isdir(os.environ.get("HISTOSCRIBE_DATA", "")):
            marks.append(pytest.mark.skip(reason="HISTOSCRIBE_DATA names no folder of real sections"))
        elif call.name in EXPECTED.get(check, {}):
            marks.append(pytest.mark.xfail(reason=EXPECTED[check][call.name], strict=True))
        yield pytest.param(call, id=call.name, marks=marks)
