"""Tables from a public name to the place of its code, loaded on first use."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import Any

from ._errors import MissingError


class Registry(Mapping[str, Any]):
    """Lazy name → object table.

    Parameters
    ----------
    kind
        What the names stand for, as error messages say it.
    package
        Package that the places are relative to.
    places
        Name → ``".module:attribute"``.
    """

    def __init__(self, kind: str, package: str, places: dict[str, str]) -> None:
        self._kind, self._package, self._places = kind, package, places

    def __getitem__(self, name: str) -> Any:
        if name not in self._places:
            near = get_close_matches(str(name), self._places, n=3, cutoff=0.4)
            fix = f"Did you mean {', '.join(near)}?" if near else "Choose one of these."
            raise MissingError(self._kind, found=repr(name), expected=f"one of {sorted(self._places)}", fix=fix)
        module, _, attribute = self._places[name].partition(":")
        return getattr(import_module(module, self._package), attribute)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
