"""The catalogue: how many rows each letter has, the modules that hold them, and those left out with the reason."""

from importlib import import_module
from itertools import chain
from types import ModuleType

from .row import Elsewhere, Row

# F: faults of the installed libraries that give a wrong answer without an error.
SIZES = {"F": 14, "A": 36, "S": 13, "I": 25, "G": 10, "M": 26, "T": 15, "R": 12, "N": 11, "D": 6}
TITLES = {
    "F": "silent faults of the installed libraries",
    "A": "AnnData",
    "S": "SpatialData",
    "I": "images",
    "G": "gene sets",
    "M": "models and weights",
    "T": "training",
    "R": "resources",
    "N": "notebooks",
    "D": "determinism",
}


def module(letter: str) -> ModuleType:
    """Module ``rows_<letter>``: its ROWS, and LEFT_OUT (id → reason)."""
    return import_module(f".rows_{letter.lower()}", __package__)


def ids() -> list[str]:
    """Every id of the catalogue."""
    return [f"{letter}{number}" for letter, size in SIZES.items() for number in range(1, size + 1)]


def rows() -> list[Row | Elsewhere]:
    """All rows, in the order of the catalogue."""
    order = {name: place for place, name in enumerate(ids())}
    found: list[Row | Elsewhere] = list(chain.from_iterable(module(letter).ROWS for letter in SIZES))
    return sorted(found, key=lambda row: order[row.id])


def left_out() -> dict[str, str]:
    """Ids that are not tried, with the reason."""
    return {name: reason for letter in SIZES for name, reason in module(letter).LEFT_OUT.items()}
