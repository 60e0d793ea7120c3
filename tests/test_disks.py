"""A full disk and a folder that may not be written, at every write of the package."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .test_kills import WRITERS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs fork, users and tmpfs"),
]
ROOT = Path(__file__).resolve().parents[1]


@cache
def _found(fault: str) -> dict[str, dict[str, Any]]:
    command = [sys.executable, "-m", "tests.disks", fault]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, check=False, capture_output=True, timeout=600)
    if fault == "full" and b"mount" in done.stderr and not done.stdout:
        pytest.skip("no tmpfs can be mounted here")
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return {found["writer"]: found for found in map(json.loads, done.stdout.splitlines())}


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
    _judge(_found("limit")[writer], "File too large")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may mount")
@pytest.mark.parametrize("writer", WRITERS)
def test_full_disk_is_an_error_and_the_old_file_stays(writer: str) -> None:
    _judge(_found("full")[writer], "No space left on device")


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize("writer", WRITERS)
def test_read_only_folder_is_an_error_and_the_old_file_stays(writer: str) -> None:
    _judge(_found("read-only")[writer], "Permission denied")
