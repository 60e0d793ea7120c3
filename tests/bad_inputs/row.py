"""What a row of the table is: a wrong input, the public functions it is tried on, and what they must do with it."""

import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from anndata import AnnData

from histoscribe._errors import HistoscribeError

from ..digest import digest

Try: TypeAlias = Callable[[Any], Any]


@dataclass(frozen=True)
class Raises:
    """An error of ours: its class and what its field, finding and fix must say (regular expressions)."""

    error: type[HistoscribeError]
    field: str
    fix: str
    found: str = "."


@dataclass(frozen=True)
class Defined:
    """A result instead of an error.

    Parameters
    ----------
    says
        What is defined, for readers of the table.
    check
        Takes the input (after the call) and what the call returned; asserts.
    warns
        Regular expression of a warning that must come.
    """

    says: str
    check: Callable[[Any, Any], None]
    warns: str | None = None


@dataclass(frozen=True)
class Row:
    """One wrong input; several rows may share an id where functions answer differently.

    Parameters
    ----------
    id
        Letter and number in the catalogue.
    given
        The wrong input, in words.
    build
        Makes it, afresh for each function.
    tried
        Public name, such as ``"pp.tile"`` (a remark may follow after a blank) → a call that takes what ``build`` made.
    result
        What must happen.
    """

    id: str
    given: str
    build: Callable[[], Any]
    tried: Mapping[str, Try]
    result: Raises | Defined


@dataclass(frozen=True)
class Elsewhere:
    """A row that needs a test of its own kind (processes killed, disks full): which tests those are.

    Parameters
    ----------
    id
        Letter and number in the catalogue.
    given
        The fault, in words.
    says
        What must happen.
    tests
        ``"tests/test_files.py::test_name"``.
    raised
        Whether what must happen is an error.
    """

    id: str
    given: str
    says: str
    tests: tuple[str, ...]
    raised: bool


class Silent(AssertionError):
    """A wrong input got through, or its error does not say what it must."""


def run(row: Row, name: str) -> str:
    """Try a row on one function; return what happened, in words.

    Raises
    ------
    Silent
        It is not what the row demands.
    """
    given = row.build()
    kept = _adatas(given) if isinstance(row.result, Raises) else []  # hashing takes its time
    before = [digest(one) for one in kept]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            returned = row.tried[name](given)
        except HistoscribeError as error:
            _judge_error(row, name, error)
            if [digest(one) for one in kept] != before:
                msg = f"{row.id} {name}: raised after it had changed the input"
                raise Silent(msg) from error
            return f"{type(error).__name__}: {error}"
    if isinstance(row.result, Raises):
        msg = f"{row.id} {name}: {row.given} passed without an error"
        raise Silent(msg)
    row.result.check(given, returned)
    said = [str(w.message) for w in caught]
    if row.result.warns is not None and not any(re.search(row.result.warns, one) for one in said):
        msg = f"{row.id} {name}: no warning like {row.result.warns!r} among {said}"
        raise Silent(msg)
    return row.result.says


def _judge_error(row: Row, name: str, error: HistoscribeError) -> None:
    if not isinstance(row.result, Raises):
        raise error
    if not isinstance(error, row.result.error):
        msg = f"{row.id} {name}: {type(error).__name__} instead of {row.result.error.__name__}: {error}"
        raise Silent(msg) from error
    for part in ("field", "found", "fix"):
        wanted, said = getattr(row.result, part), str(getattr(error, part))
        if not re.search(wanted, said):
            msg = f"{row.id} {name}: its {part} says {said!r}, not {wanted!r}"
            raise Silent(msg) from error


def _adatas(given: Any) -> list[AnnData]:
    """AnnData objects in what a builder made; they must not change where an error is raised."""
    if isinstance(given, AnnData):
        return [] if given.isbacked else [given]
    if isinstance(given, dict):
        given = list(given.values())
    return [found for one in given for found in _adatas(one)] if isinstance(given, list | tuple) else []
