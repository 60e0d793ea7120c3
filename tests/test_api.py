"""The conventions of signatures and docstrings, checked over the whole public face. What functions do: tests/battery."""

import inspect
from collections.abc import Callable
from typing import Any

import pytest

import histoscribe as hs

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

PARTS = ("io", "datasets", "pp", "tl", "pl", "metrics")
PUBLIC = [(f"{part}.{name}", getattr(getattr(hs, part), name)) for part in PARTS for name in getattr(hs, part).__all__]
FUNCTIONS = [(name, f) for name, f in PUBLIC if inspect.isfunction(f)]
IDS = [name for name, _ in FUNCTIONS]


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=IDS)
def test_signature_follows_the_conventions(name: str, function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert len(positional) <= 3
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    assert all(p.annotation is not p.empty for p in parameters.values())
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty
    assert {"seed", "rng", "key", "embedding"}.isdisjoint(parameters)
    if "random_state" in parameters:
        assert parameters["random_state"].default == 0
    if "copy" in parameters:
        assert parameters["copy"].default is False
        assert "None" in str(function.__annotations__["return"])


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=IDS)
def test_docstring_says_it_all(name: str, function: Callable[..., Any]) -> None:
    doc = inspect.getdoc(function) or ""
    assert "Examples\n--------" in doc
    for parameter in inspect.signature(function).parameters:
        assert f"\n{parameter}\n" in doc or f", {parameter}" in doc or f"{parameter}, " in doc, parameter
    if name.startswith(("pp.", "tl.")) and "copy" in inspect.signature(function).parameters:
        assert "Writes" in doc
        assert "Raises\n------" in doc
