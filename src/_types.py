"""Arguments against their annotations: the signature says the types, and this holds callers to it."""

import os
import types
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import signature
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from ._errors import OptionError

_LARGEST_SEED = 2**32 - 1
_WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", type(None): "None"}


def check_types(called: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Refuse arguments of another type than the signature says; call it first, with ``locals()``.

    Sections are left to the functions, which say more of them, and so are arrays in disguise and what is ``Any``.

    Parameters
    ----------
    called
        The function, or the class of a configuration.
    given
        Its arguments by name; others are passed over.
    """
    for name, hint in _hints(called).items():
        value: Any = given.get(name)
        if name == "random_state" and fits(value, int) and not 0 <= value <= _LARGEST_SEED:
            expected = f"a whole number, 0 to {_LARGEST_SEED}"  # what numpy, scikit-learn and torch all take
            raise OptionError(name, found=repr(value), expected=expected, fix="Leave it out for 0.")
        if name in given and not fits(value, hint) and not (name == "device" and _is_device(value)):
            default = signature(called).parameters[name].default
            wanted = words(hint)
            saved = " hs.nn.load reads one from its folder." if wanted.startswith("a Model") else ""
            unnamed = default is None or default is signature(called).empty  # None stands for more than it says
            fix = f"Pass {wanted}.{saved}" if unnamed else f"Leave it out for {default!r}."
            found = f"{type(value).__name__} {str(value)[:80]!r}" if not isinstance(value, str) else repr(value)
            raise OptionError(name, found=found, expected=wanted, fix=fix)


@cache
def _hints(called: Callable[..., Any]) -> dict[str, Any]:
    try:
        hints = get_type_hints(called)
    except NameError:  # a name that is imported for type checkers alone
        held = {name: p.annotation for name, p in signature(called).parameters.items()}
        hints = {name: hint for name, hint in held.items() if not isinstance(hint, str)}
    known = signature(called).parameters
    return {name: hint for name, hint in hints.items() if name in known and "AnnData" not in str(hint)}


def _is_device(value: Any) -> bool:
    """Whether it is a torch.device, without importing torch: as good as its name."""
    return f"{type(value).__module__}.{type(value).__qualname__}" == "torch.device"


def _origin(hint: Any) -> Any:
    origin = get_origin(hint)
    return get_origin(origin.__value__) if hasattr(origin, "__value__") else origin  # NDArray, from numpy 2.5 on


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type; True where the type is more than this function knows of."""
    origin = _origin(hint)
    if origin in (Union, types.UnionType):
        return any(fits(value, one) for one in get_args(hint))
    if origin is Literal:
        return any(value is one or (type(value) is type(one) and value == one) for one in get_args(hint))
    if origin is not None:
        return _fits_generic(value, origin, get_args(hint))
    if hint is Any or not isinstance(hint, type) or getattr(hint, "_is_protocol", False):
        return True
    if hint in (int, float):
        numbers = (int, np.integer) if hint is int else (int, float, np.integer, np.floating)
        return isinstance(value, numbers) and not isinstance(value, bool)
    if hint is bool:
        return isinstance(value, bool | np.bool_)
    return isinstance(value, os.PathLike if issubclass(hint, os.PathLike) else hint)


def _fits_generic(value: Any, origin: Any, inside: tuple[Any, ...]) -> bool:
    if origin is tuple:
        n = None if not inside or inside[-1] is Ellipsis else len(inside)
        return isinstance(value, list | tuple | np.ndarray) and n in (None, len(value))
    if origin is Sequence:
        if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray | pd.Index | pd.Series):
            return False
        return all(fits(one, inside[0]) for one in value)
    return not isinstance(origin, type) or isinstance(value, origin)


def words(hint: Any) -> str:
    """Say a type in words."""
    origin, inside = _origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(words(one) for one in inside))
    if origin is Literal:
        return f"one of {list(inside)}"
    if origin is Sequence:
        return f"a list, each {words(inside[0])}"
    if origin is not None:
        return {"tuple": f"{len(inside)} values", "ndarray": "an array", "Mapping": "a dictionary"}.get(
            origin.__name__, f"a {origin.__name__.lower()}"
        )
    name = str(getattr(hint, "__name__", hint))
    return _WORDS.get(hint, f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}")
