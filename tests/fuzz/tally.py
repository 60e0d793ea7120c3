"""Try a parser on many inputs, and count what it does."""

import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from histoscribe._errors import HistoscribeError

LIMIT_S = 1.0
_HANGS_S = 20
_RETIMED_S = 0.05
_MOST_SHOWN = 5


@dataclass(frozen=True)
class Parser:
    """Something that reads what users or other tools wrote.

    Parameters
    ----------
    name
        What it reads.
    inputs
        Right, almost right and wrong ones.
    parse
        Reads one of them; None for what it will not take, where that is no error (a broken cache, a silent tag).
    check
        Asserts what must hold of anything that was read.
    """

    name: str
    inputs: st.SearchStrategy[Any]
    parse: Callable[[Any], Any]
    check: Callable[[Any], None]


@dataclass
class Tally:
    """What happened: ``others`` are exceptions outside our tree and results that are not sound."""

    examples: int = 0
    valid: int = 0
    refused: int = 0
    n_others: int = 0
    others: list[str] = field(default_factory=list)
    slowest_s: float = 0.0
    slowest: str = ""
    grown_mb: float = 0.0

    def add_other(self, example: Any, error: BaseException) -> None:
        """Count a failure, and keep the first few."""
        self.n_others += 1
        if len(self.others) < _MOST_SHOWN:
            self.others.append(f"{type(error).__name__}: {error}"[:300] + f" on {example!r}"[:600])


@contextmanager
def _no_hang() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"still at it after {_HANGS_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, _HANGS_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _again(parser: Parser, example: Any) -> float:
    """Time once more what took long: it may have been the first to load a package, or met a collection of garbage."""
    start = time.process_time()
    with _no_hang(), warnings.catch_warnings(), suppress(Exception):
        warnings.simplefilter("ignore")
        parser.parse(example)
    return time.process_time() - start


def tally(parser: Parser, n: int) -> Tally:
    """Try ``n`` inputs, the same ones each time."""
    found = Tally()

    @settings(
        max_examples=n,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(parser.inputs)
    def try_one(example: Any) -> None:
        found.examples += 1
        start = time.process_time()
        try:
            with _no_hang(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                value = parser.parse(example)
                if value is not None:
                    parser.check(value)
            found.valid += value is not None
            found.refused += value is None
        except HistoscribeError:
            found.refused += 1
        except (Exception, RecursionError) as error:  # noqa: BLE001 - counted and shown, whatever it is
            found.add_other(example, error)
        # Processor time: other work on the machine is no fault of the parser.
        took = time.process_time() - start
        if took > max(found.slowest_s, _RETIMED_S):
            took = min(took, _again(parser, example))
        if took > found.slowest_s:
            found.slowest_s, found.slowest = took, repr(example)[:300]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try_one()
    found.grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return found
