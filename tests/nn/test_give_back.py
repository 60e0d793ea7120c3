"""Memory of freed arrays goes back to the system."""

import ctypes
import subprocess
import sys

import pytest

HOLES = """
from histoscribe.nn._give_back import give_back

def held():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmRSS")) / 1024

# Each below what the C library maps on its own, every second one freed: holes that nothing else fills.
blocks = [bytearray(b"x") * 100_000 for _ in range(2000)]
full = held()
kept = blocks[::2]
del blocks
freed = held()
give_back()
print(full - freed, full - held())
"""


@pytest.mark.weekly
@pytest.mark.skipif(not hasattr(ctypes.pythonapi, "malloc_trim"), reason="the C library is not glibc")
def test_holes_between_what_is_used_are_given_back() -> None:
    printed = subprocess.check_output([sys.executable, "-c", HOLES], text=True)
    by_itself, in_all = map(float, printed.split())
    assert by_itself < 20
    assert in_all > 80


def test_without_glibc_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    from histoscribe.nn import _give_back

    monkeypatch.setattr(ctypes, "pythonapi", object())
    _give_back.give_back()
