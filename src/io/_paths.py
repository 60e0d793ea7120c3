"""Paths that users pass, and what they are if not a file: nothing, a folder, an address."""

import os
import re
from pathlib import Path

from .._errors import FileError

FIXES = {
    "nothing": "Check the path.",
    "a folder": "Pass a file in it.",
    "a web address": "Download the file, and pass where it lies.",
    "a name that is too long": "Shorten it, or move the file to another folder.",
}
_ADDRESS = re.compile(r"[a-z][a-z0-9+.\-]+:/", re.IGNORECASE)  # Path makes one slash of two; one letter is a drive
_LONGEST = 255


def expanded(path: str | Path) -> Path:
    """Path with ``~`` replaced; left alone where there is no such user."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        return Path(path)


def what_instead(path: Path) -> str | None:
    """Key of FIXES; None for a file."""
    if os.path.isfile(path):
        return None
    if os.path.isdir(path):
        return "a folder"
    if _ADDRESS.match(str(path)):
        return "a web address"
    too_long = any(len(os.fsencode(part)) > _LONGEST for part in path.parts)
    return "a name that is too long" if too_long else "nothing"


def existing(path: str | Path, *, argument: str) -> Path:
    """Path of a file that is there."""
    path = expanded(path)
    if kind := what_instead(path):
        raise FileError(f"{argument} ({path})", found=kind, expected="a file", fix=FIXES[kind])
    return path
