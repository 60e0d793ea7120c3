"""A hash of the whole file behind its end: HDF5 may crash on a broken file, so one is known before HDF5 sees it."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from .._errors import FileError

_MARK = b"\nhistoscribe whole-file sha256 "
_SIZE = len(_MARK) + 64
_NAMING_S = 60


def append(path: Path) -> None:
    """Write it; HDF5 passes over what is behind its end."""
    found = _hash(path, path.stat().st_size)
    with path.open("ab") as file:
        file.write(_MARK + found.encode())


def check(path: Path) -> bool:
    """Compare the file with it; False where there is none, as after a change by another tool.

    Raises
    ------
    FileError
        Some byte is not as it was written.
    """
    wanted = stated(path)
    if wanted is None:
        return False
    if _hash(path, path.stat().st_size - _SIZE) != wanted:
        fix = "The file is damaged: copy it again from where it is whole, or make it anew and hs.io.write it."
        raise FileError(_damaged(path), found="another content than was written", expected="it as written", fix=fix)
    return True


def stated(path: Path) -> str | None:
    """Return the hash that a file says it has; None where it says none."""
    size = path.stat().st_size - _SIZE
    if size < 0:
        return None
    with path.open("rb") as file:
        file.seek(size)
        trailer = file.read()
    return trailer[len(_MARK) :].decode("ascii", "replace") if trailer.startswith(_MARK) else None


def strip(path: Path) -> None:
    """Take it off, before the file is changed."""
    if stated(path) is not None:
        os.truncate(path, path.stat().st_size - _SIZE)


def _hash(path: Path, size: int) -> str:
    digest, left = hashlib.sha256(), size
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 24))):
            digest.update(block)
            left -= len(block)
    return digest.hexdigest()


def _damaged(path: Path) -> str:
    """Name the damaged element, looked for by another process: what it meets there may end it."""
    code = f"import sys, {__package__}._manifest as m; print(m.first_damaged(sys.argv[1]))"
    command = [sys.executable, "-P", "-c", code, os.fspath(path)]  # -P: no code of the working directory
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=_NAMING_S, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return str(path)
    return said.strip() or str(path)
