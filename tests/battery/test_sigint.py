"""Real Ctrl-C at random moments, also inside libraries: sections are as before or as after."""

import signal
import subprocess
import sys
from typing import Any

import pytest

import histoscribe as hs
from histoscribe import _record

from . import material
from .running import ROOT
from .sigint import NAMES, N


@pytest.mark.weekly
def test_ctrl_c_at_random_moments_never_leaves_a_section_between() -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.battery.sigint"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line for line in done.stdout.splitlines() if line.startswith(NAMES)]
    assert len(lines) == len(NAMES)
    assert [line for line in lines if "between" in line] == []
    assert sum("interrupted" in line for line in lines) >= len(NAMES) // 2, (N, lines)


def test_ctrl_c_waits_until_all_slots_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    adata, write = material.section(), _record._all_or_nothing

    def disturbed(*args: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        write(*args)

    monkeypatch.setattr(_record, "_all_or_nothing", disturbed)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        hs.pp.tile(adata, size_um=90.0)
    assert adata.uns["histoscribe"]["obsm.tiles"]["params"]["size_um"] == 90.0
    assert signal.getsignal(signal.SIGINT) is handler
