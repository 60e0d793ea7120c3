"""What a call of a public function is: the arguments that it gets for a section, and what may be asked of it."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from anndata import AnnData

import histoscribe as hs

Reads: TypeAlias = Literal["counts", "positions", "image", "tiles", "vectors", "graph", "labels", "files"]
Returns: TypeAlias = Literal["nothing", "table", "numbers", "arrays", "figure", "section", "object"]

PARTS = ("io", "datasets", "pp", "tl", "pl", "metrics", "nn")


@dataclass(frozen=True)
class Call:
    """How a public function is called, and what is known of it.

    Parameters
    ----------
    arguments
        Takes a prepared section and returns all that the function is called with, by name.
    reads
        What it reads of the section.
    returns
        What it returns.
    section
        Parameter that takes the section, if any does.
    writes
        Whether it writes to the section.
    learns
        Whether it returns what was fitted.
    draws
        Whether the outcome depends on a seed.
    per_spot
        Whether a row of the outcome says something of one spot alone, so that it follows when spots are reordered.
    invariant
        What of the outcome must not depend on the order of spots and genes, where not all of it: takes the section
        after the call and what was returned.
    hands_on
        Whether the outcome is the section itself, its genes and their order included.
    needs_data
        Whether it reads real data.
    slow
        Whether it takes a third of a second, at least where other processes work: most checks run on it weekly.
    """

    arguments: Callable[[AnnData], dict[str, Any]]
    reads: tuple[Reads, ...] = ()
    returns: Returns = "nothing"
    section: str | None = None
    writes: bool = False
    learns: bool = False
    draws: bool = False
    per_spot: bool = False
    invariant: Callable[[AnnData, Any], Any] | None = None
    hands_on: bool = False
    needs_data: bool = False
    slow: bool = False
    name: str = field(default="", kw_only=True)

    @cached_property
    def function(self) -> Callable[..., Any]:
        """The public function or class."""
        part, name = self.name.split(".")
        found: Callable[..., Any] = getattr(getattr(hs, part), name)
        return found

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter]:
        """Its parameters."""
        return inspect.signature(self.function).parameters

    @property
    def copies(self) -> bool:
        """Whether it has ``copy=``."""
        return "copy" in self.parameters

    @property
    def many(self) -> bool:
        """Whether it takes a list of sections, each of which is treated apart."""
        return self.section == "adata" and "Sequence" in str(self.parameters["adata"].annotation)

    def __call__(self, adata: AnnData, **options: Any) -> Any:
        return self.function(**{**self.arguments(adata), **options})


def public() -> dict[str, Any]:
    """Every public function and class: all callables in ``__all__``."""
    found = {f"{part}.{name}": getattr(getattr(hs, part), name) for part in PARTS for name in getattr(hs, part).__all__}
    return {name: one for name, one in found.items() if callable(one)}
