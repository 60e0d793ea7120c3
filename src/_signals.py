"""Ctrl-C, held back for a moment."""

import signal
import threading
from collections.abc import Callable


def undisturbed(write: Callable[[], None]) -> None:
    """Write, and hold Ctrl-C back until that has ended: pandas, stopped while it inserts a column, leaves a broken table.

    In other threads than the main one nothing is held back: Ctrl-C does not reach them.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is None or threading.current_thread() is not threading.main_thread():
        write()
        return
    came: list[int] = []
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        write()
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            signal.raise_signal(signal.SIGINT)
