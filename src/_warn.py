"""Warnings that point at the user's line, however deep within the package they arise."""

import inspect
import warnings


def warn(message: str) -> None:
    """Warn at the line that called into the package."""
    package, frame = __name__.partition(".")[0], inspect.currentframe()
    level, last = 0, 0
    while frame is not None:  # to the end: libraries call back, as progress bars and context managers do
        level += 1
        if str(frame.f_globals.get("__name__")).partition(".")[0] == package:
            last = level
        frame = frame.f_back
    warnings.warn(message, UserWarning, stacklevel=last + 1)
