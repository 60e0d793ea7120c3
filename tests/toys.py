"""Toy sections, each painted once in a process: a test gets its copy."""

from functools import cache
from typing import Any

import histoscribe as hs


@cache
def _toy(**options: Any) -> Any:
    return hs.datasets.toy(**options)


def cached_toy(**options: Any) -> Any:
    """Copy of what ``datasets.toy`` gives for these options."""
    toy = _toy(**options)
    return [one.copy() for one in toy] if isinstance(toy, list) else toy.copy()
