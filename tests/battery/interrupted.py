"""Stop a call at its k-th line of the package's own code."""

import linecache
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import histoscribe as hs

PACKAGE = str(Path(hs.__file__).parent)
HOLDS_BACK = str(Path(PACKAGE, "_signals.py"))  # Ctrl-C can't come between its lines: see test_sigint.py


class Stopped(RuntimeError):
    """An error that nobody foresaw."""


def _is_with(frame: Any) -> bool:
    """Whether a line opens or ends a ``with``: no code can be held to what happens between its end and ``__exit__``."""
    return linecache.getline(frame.f_code.co_filename, frame.f_lineno).lstrip().startswith("with ")


def lines(run: Callable[[], Any], stop: int | None = None, error: type[BaseException] = Stopped) -> int:
    """Run, and count the lines of the package that it passes in this thread; raise an error at one of them."""
    passed = 0

    def local(frame: Any, event: str, arg: Any) -> Any:
        nonlocal passed
        if event == "line" and not _is_with(frame):
            passed += 1
            if passed == stop:
                raise error("stopped")
        return local

    def begin(frame: Any, event: str, arg: Any) -> Any:
        name = frame.f_code.co_filename
        return local if name.startswith(PACKAGE) and name != HOLDS_BACK else None

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        run()
    finally:
        sys.settrace(before)
    return passed
