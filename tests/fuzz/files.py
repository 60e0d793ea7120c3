"""A folder for the files that parsers are tried on, kept in memory where the system has such a place."""

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory


@cache
def _kept() -> TemporaryDirectory:
    memory = Path("/dev/shm")
    return TemporaryDirectory(prefix="fuzz_", dir=memory if os.access(memory, os.W_OK) else None)


def place(*parts: str) -> Path:
    """Path in the folder, whose own folder is there."""
    path = Path(_kept().name, *parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def put(content: str | bytes, *parts: str) -> Path:
    """Write a file; text with surrogates too."""
    path = place(*parts)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    return path
