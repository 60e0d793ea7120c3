"""Optional packages: imported where they are used, with an error that names the extra."""

from importlib import import_module
from types import ModuleType

from ._errors import DependencyError


def need(module: str, *, extra: str, instead: str = "") -> ModuleType:
    """Import an optional module, or say which extra brings it and what works without it."""
    try:
        return import_module(module)
    except ImportError as error:
        raise DependencyError(
            module,
            found="no such package installed",
            expected=f"the extra {extra!r}",
            fix=f"Run: pip install 'histoscribe[{extra}]'." + (f" {instead}" if instead else ""),
        ) from error
