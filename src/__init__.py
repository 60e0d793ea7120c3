"""Read a tissue section twice, as an H&E image and as genes, and write what both say into AnnData."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._errors import HistoscribeError
from ._settings import settings

if TYPE_CHECKING:
    from . import datasets, io, metrics, nn, pl, pp, tl

    __version__: str

_SUBPACKAGES = ("datasets", "io", "metrics", "nn", "pl", "pp", "tl")

__all__ = ["HistoscribeError", "datasets", "io", "metrics", "nn", "pl", "pp", "settings", "tl"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that the import is cheap and a plot never waits for torch.
    if name in _SUBPACKAGES:
        return import_module(f".{name}", __name__)
    if name == "__version__":
        return import_module("importlib.metadata").version(__name__)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
