"""What is written takes its place in one step: beside, synced, renamed. A killed process leaves the old or the new."""

import ctypes
import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import stat
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ._errors import FileError

# What a disk says that is full, read-only or broken; other faults in a block are of what was read there.
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.EACCES, errno.ENOTSUP}  # folders that this system does not sync
_NO_SWAP = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}
_DAY_S = 86_400


def _host() -> str:
    """Name those among whom a process number means one process: containers may share a host's name, and its kernel."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text())
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("".join(parts).encode()).hexdigest()[:6]


_HOST = _host()
_ours: set[Path] = set()  # what this process is writing now


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes the place of ``path`` once the block has ended well.

    A link is followed: what it points to is replaced. The permissions of a file that is replaced are kept.

    Raises
    ------
    FileError
        The disk is full or read-only; ``path`` is as it was.
    """
    path = Path(os.path.realpath(path))
    with beside(path) as new:
        yield new
        _keep_mode(new, path)
        _sync(new)
        os.replace(new, path)
        _sync(path.parent)


@contextmanager
def atomic_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; it takes the place of the folder ``path`` as :func:`atomic` does it."""
    path = Path(os.path.realpath(path))
    with beside(path) as new:
        recover(path)
        new.mkdir()
        yield new
        _keep_mode(new, path)
        with ThreadPoolExecutor(16) as pool:  # at once: a disk writes them together
            list(pool.map(_sync, [new, *new.rglob("*")]))
        exchange(new, path)
        _sync(path.parent)


def _keep_mode(new: Path, path: Path) -> None:
    """Give what is new the permissions of what it replaces; files in a folder those of the first one there."""
    with suppress(OSError):  # nothing is replaced, or the file system has no permissions
        mode = stat.S_IMODE(path.stat().st_mode)
        os.chmod(new, mode)
        file = next((one for one in path.iterdir() if one.is_file()), None) if path.is_dir() else None
        if file is not None:
            file_mode = stat.S_IMODE(file.stat().st_mode)
            for one in new.rglob("*"):
                os.chmod(one, mode if one.is_dir() else file_mode)


def exchange(new: Path, path: Path) -> None:
    """Give a folder the name ``path``; what was there is then at ``new``, or gone."""
    if not path.exists():
        os.rename(new, path)
    elif not _swap(new, path):
        old = _put_aside(path)
        os.rename(path, old)
        os.rename(new, path)
        shutil.rmtree(old)


def recover(path: str | Path) -> None:
    """Put the old folder back where a process was killed between the two renames of a system without exchange."""
    path = Path(os.path.realpath(path))
    old = _put_aside(path)
    if old.exists():
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.rename(old, path)


def _put_aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _swap(one: Path, other: Path) -> bool:
    """Exchange two names in one step; False where the system can't."""
    libc: Any = ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
    names = os.fsencode(one), os.fsencode(other)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        here, exchanging = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
        failed = libc.renameat2(here, names[0], here, names[1], exchanging)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(*names, 2)  # RENAME_SWAP
    else:
        return False
    if failed and (code := ctypes.get_errno()) not in _NO_SWAP:
        raise OSError(code, os.strerror(code), str(other))
    return not failed


def _sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    folder = path.is_dir()
    if folder and os.name != "posix":
        return
    try:
        handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if not (folder and error.errno in _NO_SYNC):
            raise


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Yield a name in the same folder that says who writes there; what has it at the end is removed.

    Raises
    ------
    FileError
        The disk is full or read-only.
    """
    new = path.with_name(f".{path.stem}.{_HOST}-{os.getpid()}-{secrets.token_hex(3)}{path.suffix}")
    _ours.add(new)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.touch(exist_ok=False)  # says at once whether this can be written, and what time it is on that disk
        sweep(path, now=new.stat().st_mtime)
        new.unlink()
        yield new
    except OSError as error:
        if not _of_writing(error, path.parent):
            raise
        found = f"{error.strerror or error} ({error.filename or path})"
        fix = "Choose a folder that can be written to, with space left."
        raise FileError(str(path), found=found, expected="a place to write to", fix=fix) from error
    finally:
        remove(new)
        _ours.discard(new)


def _of_writing(error: OSError, folder: Path) -> bool:
    if error.errno in _DISK or error.filename is None:
        return error.errno in _DISK
    named = Path(os.fsdecode(error.filename))
    return named.is_relative_to(folder) or folder.is_relative_to(named)


def sweep(path: Path, *, now: float | None = None) -> None:
    """Remove what killed processes left beside ``path``: of other machines after a day, of living processes never."""
    stem, suffix = re.escape(path.stem), re.escape(path.suffix)
    pattern = re.compile(rf"\.{stem}\.([0-9a-f]{{6}})-(\d+)-[0-9a-f]{{6}}{suffix}")
    now = time.time() if now is None else now
    for other in path.parent.iterdir():
        match = pattern.fullmatch(other.name)
        if match is None or other in _ours:
            continue
        with suppress(OSError):  # of another user, or gone meanwhile
            if now - other.stat().st_mtime > _DAY_S if match[1] != _HOST else not _alive(int(match[2])):
                remove(other)


def _alive(pid: int) -> bool:
    if pid == os.getpid():
        return False  # what this process is writing is known; the rest is of another with the same number
    if os.name != "posix":
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or folder as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)
