"""Hash of what a user's network does beside its weights: its layers, their options and the code of its own classes.

Functions that its methods call by a global name are not followed.
"""

import hashlib
import re
from collections.abc import Iterator
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

from torch import Tensor, nn

from ._hashes import hash_tensors

_LIBRARIES = ("torch", "timm", "transformers", "torchvision")  # versions of which the record says
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def hash_module(module: nn.Module) -> str:
    """Hash of all layers in order: names, classes, options, own code, and tensors that the weights do not hold."""
    digest = hashlib.sha256()
    tensors = dict(module.named_buffers())  # some are not saved with the weights
    for name, layer in module.named_modules(remove_duplicate=False):
        kind = type(layer)
        digest.update(repr((name, kind.__qualname__, _ADDRESS.sub("", layer.extra_repr()))).encode())
        for held in _public(vars(layer)):
            digest.update(repr(held).encode())
        for base in kind.__mro__:
            if _is_own(base):
                digest.update(repr(list(_of_class(base))).encode())
        tensors |= {f"{name}.{key}": value for key, value in vars(layer).items() if isinstance(value, Tensor)}
    return hashlib.sha256(f"{digest.hexdigest()} {hash_tensors(tensors)}".encode()).hexdigest()


def _is_own(thing: Any) -> bool:
    module = getattr(thing, "__module__", None)
    return thing is not object and str(module).partition(".")[0] not in _LIBRARIES


def _public(held: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
    """Options of a layer or class: plain values and functions, by name."""
    for key, value in sorted(held.items()):
        if key.startswith("_") or key == "training":
            continue
        if _is_plain(value):
            yield key, value
        elif isinstance(value, FunctionType | MethodType | BuiltinFunctionType):
            yield key, _function(value, set())


def _of_class(kind: type) -> Iterator[tuple[Any, ...]]:
    """Constants and methods of a class, the private ones too."""
    yield from _public({key: value for key, value in vars(kind).items() if _is_plain(value)})
    for key, value in sorted(vars(kind).items()):
        parts = (value.fget, value.fset) if isinstance(value, property) else (getattr(value, "__func__", value),)
        for part in parts:
            if isinstance(part, FunctionType):
                yield key, type(value).__name__, _function(part, set())


def _is_plain(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _function(function: Any, seen: set[int]) -> tuple[Any, ...]:
    """Name of a function and, where it is the user's, its code, defaults and what it closes over."""
    function = getattr(function, "__func__", function)
    name = getattr(function, "__qualname__", "")
    if not isinstance(function, FunctionType) or id(function) in seen or not _is_own(function):
        return (name,)
    seen.add(id(function))
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
    for cell in function.__closure__ or ():
        try:
            held.append(cell.cell_contents)
        except ValueError:  # empty as yet
            continue
    known = [_function(v, seen) if isinstance(v, FunctionType) else v for v in held]
    return name, _code(function.__code__), [v for v in known if _is_plain(v) or isinstance(v, tuple)]


def _code(code: CodeType) -> tuple[Any, ...]:
    return code.co_code, code.co_names, [_constant(value) for value in code.co_consts]


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code(value)
    if isinstance(value, frozenset):  # in no order
        return sorted(repr(_constant(one)) for one in value)
    return [_constant(one) for one in value] if isinstance(value, tuple) else repr(value)
