"""Processes killed at random moments of a write, and what a reader finds afterwards."""

import json
import os
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Writer:
    """Something that writes below a folder.

    Parameters
    ----------
    name
        As users call it.
    make
        Content of a version, made before the clock starts.
    write
        Writes it.
    read
        Version that is found; None for nothing, which is right before anything was written. Raises what readers raise,
        and Mixed for a content that was never written.
    keeps
        Whether there must be something once something was written (a cache may start anew).
    targets
        Glob of what may lie in the folder.
    """

    name: str
    make: Callable[[int], Any]
    write: Callable[[Path, Any], None]
    read: Callable[[Path], int | None]
    keeps: bool = True
    targets: str = "x*"


class Mixed(Exception):
    """Content that no writer wrote, and no error."""


@dataclass
class Kills:
    """What became of a writer."""

    writer: str
    kills: int = 0
    inside: int = 0
    lost: int = 0
    unreadable: int = 0
    mixed: int = 0
    litter: int = 0
    says: list[str] = field(default_factory=list)


def kill(writer: Writer, folder: Path, n: int, *, seed: int = 0) -> Kills:
    """Kill ``n`` writes, each at a moment drawn uniformly over the time that a write takes."""
    found, rng, held = Kills(writer.name), np.random.default_rng(seed), 0
    (folder := folder / "there").mkdir()  # what is served and compared with lies beside it
    span = max(_finished(writer, folder, 0) for _ in range(3))
    for version in range(1, n + 1):
        pid, ready = _start(writer, folder, version)
        os.read(ready, 1)
        os.close(ready)
        time.sleep(rng.uniform(0, span))
        os.kill(pid, signal.SIGKILL)
        found.inside += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
        found.kills += 1
        held = _judge(writer, folder, found, held, version)
    _finished(writer, folder, n + 1)
    allowed = set(folder.glob(writer.targets))
    found.litter = sum(p.name.startswith(".") or p.suffix == ".partial" for p in folder.rglob("*") if _hidden(p))
    found.litter += sum(p not in allowed and not p.name.startswith(".") for p in folder.iterdir())
    return found


def _hidden(path: Path) -> bool:
    return not path.name.startswith(".z")  # zarr's own


def _judge(writer: Writer, folder: Path, found: Kills, held: int, version: int) -> int:
    kind, said = _in_child(writer.read, folder)
    if kind == "version" and (said in (held, version) or not writer.keeps):
        return int(said or 0)
    if kind == "version":
        found.lost += said is None
        found.mixed += said is not None
        found.says.append(f"version {said} after {held} and {version}")
    else:
        found.unreadable += kind != "Mixed"
        found.mixed += kind == "Mixed"
        found.says.append(f"{kind}: {said}")
    for path in folder.glob(writer.targets):  # what is broken would stand in the way of the next
        _remove(path)
    _finished(writer, folder, version)
    return version


def _remove(path: Path) -> None:
    import shutil

    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _start(writer: Writer, folder: Path, version: int) -> tuple[int, int]:
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid:
        os.close(theirs)
        return pid, ours
    code = 1
    try:
        content = writer.make(version)
        os.write(theirs, b".")
        writer.write(folder, content)
        code = 0
    except BaseException:  # noqa: BLE001 - a forked child must not return
        traceback.print_exc()
    finally:
        os._exit(code)


def _finished(writer: Writer, folder: Path, version: int) -> float:
    """Seconds of a write that nobody kills."""
    pid, ready = _start(writer, folder, version)
    os.read(ready, 1)
    start = time.perf_counter()
    assert os.waitpid(pid, 0)[1] == 0, f"{writer.name} can't write"
    os.close(ready)
    return time.perf_counter() - start


def _in_child(read: Callable[[Path], int | None], folder: Path) -> tuple[str, Any]:
    """Read in a process of its own, so that nothing is remembered."""
    ours, theirs = os.pipe()
    if pid := os.fork():
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        kind, value = json.loads(said or b'["died", ""]')
        return kind, value
    try:
        result = "version", read(folder)
    except BaseException as error:  # noqa: BLE001
        result = type(error).__name__, str(error)[:200]  # type: ignore[assignment]
    os.write(theirs, json.dumps(result).encode())
    os._exit(0)


def main() -> None:
    """Kill each writer as often as the command line says; one line of JSON each."""
    from tests.kill_writers import OURS, prepare

    prepare()
    for writer in OURS:
        with tempfile.TemporaryDirectory() as folder:
            sys.stdout.write(f"{json.dumps(asdict(kill(writer, Path(folder), int(sys.argv[1]))))}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
