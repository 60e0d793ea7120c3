"""Files: written beside and renamed, checked by hash, found on disk before the network is asked."""

import gzip
import hashlib
import os
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from ._errors import FileError, OfflineError
from ._settings import settings

DATA_VARIABLE = "HISTOSCRIBE_DATA"
_CONNECT_S = 1.5


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded: where it lies below the data folder, its content's hash and its address."""

    name: str
    sha256: str
    url: str


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a path beside ``path`` to write to; it takes the place of ``path`` once the block has ended well."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def sha256(path: str | Path) -> str:
    """Hash of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256_inside(path: Path) -> str:
    with gzip.open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _checked(path: Path, remote: Remote) -> Path:
    packed = path.suffix == ".gz" and not remote.name.endswith(".gz")
    try:
        found = _sha256_inside(path) if packed else sha256(path)
    except (OSError, EOFError) as error:
        found = f"unreadable ({error})"
    if found != remote.sha256:
        raise FileError(
            str(path), found=f"sha256 {found}", expected=remote.sha256, fix="The file is broken: delete it and retry."
        )
    return path


def _local(folder: Path, remote: Remote) -> Path | None:
    for path in (folder / remote.name, folder / f"{remote.name}.gz"):
        if path.is_file():
            return _checked(path, remote)
    return None


def fetch(remote: Remote) -> Path:
    """Path of a data file: in the folder that HISTOSCRIBE_DATA names, else in the cache, else downloaded.

    Raises
    ------
    FileError
        The content is not the expected one.
    OfflineError
        It is on neither place and there is no network; known in under two seconds.
    """
    named = os.environ.get(DATA_VARIABLE)
    cache = settings.cache_dir / "data"
    for folder in (Path(named), cache) if named else (cache,):
        if path := _local(folder, remote):
            return path
    return _download(remote, cache / remote.name)


def _download(remote: Remote, path: Path) -> Path:
    if not online(remote.url):
        raise _offline(remote, path, "no network")
    import pooch

    # pooch downloads beside the target, checks the hash and renames.
    downloader = pooch.HTTPDownloader(progressbar=settings.progress and settings.verbosity > 0, timeout=30)
    try:
        pooch.retrieve(
            remote.url, known_hash=f"sha256:{remote.sha256}", fname=path.name, path=path.parent, downloader=downloader
        )
    except OSError as error:  # what requests raises is an OSError
        raise _offline(remote, path, str(error)) from error
    except ValueError as error:
        raise FileError(
            remote.url, found=str(error), expected=f"sha256 {remote.sha256}", fix="Try again later."
        ) from error
    return path


def _offline(remote: Remote, path: Path, found: str) -> OfflineError:
    named = os.environ.get(DATA_VARIABLE)
    return OfflineError(
        remote.name,
        found=f"{found}; not in {DATA_VARIABLE} ({named or 'not set'}) nor in {path}",
        expected="the file on disk, or a network",
        fix=f"Download {remote.url} on another machine to that path, or set {DATA_VARIABLE} to a folder that has it.",
    )


def online(url: str) -> bool:
    """Whether the host of ``url`` (or the proxy that leads there) accepts a connection, within two seconds."""
    if os.environ.get("HISTOSCRIBE_OFFLINE", "0") not in ("", "0"):
        return False
    target = urlsplit(url)
    proxy = urlsplit(getproxies().get(target.scheme, ""))
    host, port = (proxy.hostname, proxy.port or 80) if proxy.hostname else (target.hostname, target.port or 443)
    reached = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
        except OSError:
            return
        reached.set()

    # In a thread, because looking a name up has no timeout of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    return reached.is_set()
