"""Every writer is killed at random moments: what is read afterwards is the old content or the new."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

ROOT = Path(__file__).resolve().parents[1]
WRITERS = (
    "hs.io.write, h5ad",
    "hs.io.write, zarr",
    "Model.save",
    "checkpoints of training",
    "training of the gene encoder",
    "feature cache",
    "cached OME-TIFF",
    "download",
)
N_KILLS = 8


@pytest.fixture(scope="module")
def killed() -> dict[str, dict[str, Any]]:
    """In a process that forks: this one has threads."""
    command = [sys.executable, "-m", "tests.kills", str(N_KILLS)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, timeout=600).stdout
    return {found["writer"]: found for found in map(json.loads, said.splitlines())}


@pytest.mark.weekly
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_lost_when_a_writer_is_killed(writer: str, killed: dict[str, dict[str, Any]]) -> None:
    found = killed[writer]
    assert found["kills"] == N_KILLS
    assert (found["lost"], found["unreadable"], found["mixed"], found["litter"]) == (0, 0, 0, 0), found["says"]


@pytest.mark.weekly
def test_kills_do_fall_into_the_writes(killed: dict[str, dict[str, Any]]) -> None:
    assert set(killed) == set(WRITERS)
    assert sum(found["inside"] for found in killed.values()) > len(WRITERS) * N_KILLS / 4
