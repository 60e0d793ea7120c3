"""A full disk and a folder that may not be written, at every write of the package."""

import json
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .test_kills import WRITERS

pytestmark = [
    pytest.mark.weekly,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork, users and tmpfs"),
]
ROOT = Path(__file__).resolve().parents[1]


IS_ROOT = hasattr(os, "getuid") and os.getuid() == 0


@cache
def _all_found() -> dict[tuple[str, str], dict[str, Any]]:
    """All writers under all faults that there can be here, in a process that forks."""
    with tempfile.TemporaryDirectory() as folder:
        mounts = (
            IS_ROOT and subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True).returncode == 0
        )
        if mounts:
            subprocess.run(["umount", "-l", folder], check=True)
    faults = ["limit", *["full"] * mounts, *["read-only"] * IS_ROOT]
    command = [sys.executable, "-m", "tests.disks", *faults]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, timeout=600)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return {(found["fault"], found["writer"]): found for found in map(json.loads, done.stdout.splitlines())}


def _found(fault: str, writer: str) -> dict[str, Any]:
    found = _all_found()
    if fault == "full" and (fault, writer) not in found:
        pytest.skip("no tmpfs can be mounted here")
    return found[fault, writer]


def _judge(found: dict[str, Any], says: str) -> None:
    if found["writer"] == "feature cache":  # vectors are made all the same, and chunks that fitted are kept
        assert found["error"] is None, found["says"]
        assert found["warned"]
        assert "/." not in found["files"]
        return
    assert found["error"] == "FileError", found["says"]
    assert says in found["says"]
    assert "Choose a folder that can be written to, with space left" in found["says"]
    assert found["files"] == "intact"


@pytest.mark.parametrize("writer", WRITERS)
def test_size_limit_is_an_error_and_the_old_file_stays(writer: str) -> None:
    _judge(_found("limit", writer), "File too large")


@pytest.mark.skipif(not IS_ROOT, reason="only root may mount")
@pytest.mark.parametrize("writer", WRITERS)
def test_full_disk_is_an_error_and_the_old_file_stays(writer: str) -> None:
    _judge(_found("full", writer), "No space left on device")


@pytest.mark.skipif(not IS_ROOT, reason="only root may become another user")
@pytest.mark.parametrize("writer", WRITERS)
def test_read_only_folder_is_an_error_and_the_old_file_stays(writer: str) -> None:
    _judge(_found("read-only", writer), "Permission denied")
