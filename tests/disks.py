"""Every writer on a disk that is full or may not be written: what is raised, and what is there afterwards."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import histoscribe as hs
from histoscribe._errors import HistoscribeError

from . import kill_writers
from .kills import Writer, _finished

NOBODY = 65534


def _files(folder: Path) -> dict[str, str]:
    import hashlib

    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*") if p.is_file()
    }


@contextmanager
def _full(folder: Path) -> Iterator[None]:
    """A file system with little room."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=30m", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _fill(folder: Path) -> None:
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    (folder / "others").write_bytes(bytes(max(0, free - 300_000)))


def _lock(folder: Path) -> None:
    for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
        path.chmod(0o555)


def _limit(fault: str) -> None:
    """Put the fault on this process."""
    if fault == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    elif fault == "read-only":
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)


def attempt(writer: Writer, fault: str, old: Path, base: Path) -> dict[str, Any]:
    """Set the fault, and write a new content over a copy of the old one."""
    base.chmod(0o755)
    folder = base / "there"
    folder.mkdir()
    kill_writers.serve(folder, 0)
    with _full(folder) if fault == "full" else nullcontext():
        shutil.copytree(old, folder, dirs_exist_ok=True)
        if fault == "full":
            _fill(folder)
        if fault == "read-only":
            _lock(folder)
        before = _files(folder)
        said = _faulty(writer, fault, folder)
        after = _files(folder)
    held = "intact" if after == before else f"changed: {sorted(before.items() ^ after.items())[:3]}"
    return {"writer": writer.name, "fault": fault, "files": held, **said}


def _old(writer: Writer, folder: Path) -> Path:
    """Folder with an old content where there is one."""
    if writer.name in ("feature cache", "cached OME-TIFF", "download"):
        (folder / "x").mkdir()
    else:
        _finished(writer, folder, 1)
    return folder


def _faulty(writer: Writer, fault: str, folder: Path) -> dict[str, Any]:
    ours, theirs = os.pipe()
    if pid := os.fork():
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        result: dict[str, Any] = json.loads(said or b'{"error": "died"}')
        return result
    result = {"error": None, "says": "", "warned": False}
    try:
        kill_writers.anew = lambda: True
        with tempfile.TemporaryDirectory() as warm:  # loads what is loaded late, while it may be read
            kill_writers.serve(Path(warm) / "there", 0)
            (Path(warm) / "there").mkdir()
            writer.write(Path(warm) / "there", writer.make(1))
        content = writer.make(2)
        _limit(fault)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            writer.write(folder, content)
        result["warned"] = any("not cached" in str(w.message) for w in caught)
    except HistoscribeError as error:
        result |= {"error": type(error).__name__, "says": str(error)}
    except BaseException as error:  # noqa: BLE001
        import traceback

        result |= {"error": f"foreign {type(error).__name__}", "says": traceback.format_exc()[-1500:]}
    os.write(theirs, json.dumps(result).encode())
    os._exit(0)


def main() -> None:
    """Try each writer under each fault that the command line names; one line of JSON each."""
    kill_writers.prepare(1500)
    hs.settings.verbosity = 0
    for writer in kill_writers.OURS:
        with tempfile.TemporaryDirectory() as first:
            old = _old(writer, Path(first))
            for fault in sys.argv[1:]:
                with tempfile.TemporaryDirectory() as folder:
                    sys.stdout.write(f"{json.dumps(attempt(writer, fault, old, Path(folder)))}\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
