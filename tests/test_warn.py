"""Warnings name the line that called the package, whatever lies between."""

import inspect
import warnings
from typing import Any

import pytest

from histoscribe._warn import warn

# A module of the package: one that warns itself, and through libraries that call it back.
CODE = """
from contextlib import contextmanager
from tqdm import tqdm

def plain():
    warn("plain")

def deep():
    [plain() for _ in range(2)]

@contextmanager
def opened():
    plain()
    yield

def within():
    with opened():
        pass

def lines():
    plain()
    yield 1

def through_a_bar():
    list(tqdm(lines(), disable=True))

def of_a_callback(callback):
    callback()
"""


@pytest.fixture
def package() -> dict[str, Any]:
    made = {"__name__": "histoscribe.made_up", "warn": warn}
    exec(compile(CODE, "made_up.py", "exec"), made)
    return made


@pytest.mark.parametrize("how", ["plain", "deep", "within", "through_a_bar"])
def test_the_line_of_the_user_is_named(how: str, package: dict[str, Any]) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        package[how]()
        line = _line() - 1
    assert {(one.filename, one.lineno) for one in caught} == {(__file__, line)}
    assert all(one.category is UserWarning for one in caught)


def test_what_a_user_hands_in_belongs_to_the_call(package: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="plain") as caught:
        package["of_a_callback"](lambda: package["deep"]())
    assert {one.filename for one in caught} == {__file__}


def _line() -> int:
    frame = inspect.currentframe()
    assert frame is not None
    assert frame.f_back is not None
    return frame.f_back.f_lineno
