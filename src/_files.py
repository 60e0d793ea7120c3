"""Files: written beside and renamed, checked by hash, found on disk before the network is asked."""

import gzip
import hashlib
import os
import socket
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import getproxies

from ._atomic import atomic as atomic
from ._atomic import atomic_folder as atomic_folder
from ._atomic import recover as recover
from ._errors import FileError, OfflineError
from ._settings import settings

DATA_VARIABLE = "HISTOSCRIBE_DATA"
_CONNECT_S = 1.5
_STALLED_S = 30  # without a byte


@dataclass(frozen=True)
class Remote:
    """A file that can be downloaded: where it lies below the data folder, its content's hash and its address."""

    name: str
    sha256: str
    url: str


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


def local(folder: Path, remote: Remote) -> Path | None:
    """Path of a data file below a folder, as it is or gzipped, checked; None if it is not there."""
    for path in (folder / remote.name, folder / f"{remote.name}.gz"):
        if os.path.isfile(path):  # pathlib's own raises on names that are too long
            return _checked(path, remote)
    return None


def fetch(remote: Remote) -> Path:
    """Path of a data file: in the folder that HISTOSCRIBE_DATA names, else in the cache, else downloaded.

    Raises
    ------
    FileError
        The content is not the expected one.
    OfflineError
        It is on neither place and there is no network, known in under two seconds, or the network stalls.
    """
    return find(remote) or _download(remote, settings.cache_dir / "data" / remote.name)


def find(remote: Remote) -> Path | None:
    """Path of a data file that is on disk, checked; None where it is not."""
    named, cache = os.environ.get(DATA_VARIABLE), settings.cache_dir / "data"
    for folder in (Path(named), cache) if named else (cache,):
        if path := local(folder, remote):
            return path
    return None


def elsewhere(remotes: Iterable[Remote]) -> str:
    """Say what to do where there is no network."""
    commands = "; ".join(f"curl --create-dirs -Lo {one.name} {one.url}" for one in remotes)
    place = settings.cache_dir / "data"
    return f"Where there is a network run: {commands}. Copy what they wrote into {place}, or set {DATA_VARIABLE} to its folder."


def _download(remote: Remote, path: Path) -> Path:
    if not online(remote.url):
        raise _offline(remote, path, "no network")
    import pooch
    import requests

    show = settings.progress and settings.verbosity > 0
    download = pooch.HTTPDownloader(progressbar=show, timeout=_STALLED_S)
    with atomic(path) as beside:
        try:
            download(remote.url, str(beside), None)
        except requests.RequestException as error:
            raise _offline(remote, path, str(error)) from error
        if (found := sha256(beside)) != remote.sha256:
            expected = f"sha256 {remote.sha256}"
            raise FileError(remote.url, found=f"sha256 {found}", expected=expected, fix="Try again later.")
    return path


def _offline(remote: Remote, path: Path, found: str) -> OfflineError:
    named = os.environ.get(DATA_VARIABLE)
    return OfflineError(
        remote.name,
        found=f"{found}; not in {DATA_VARIABLE} ({named or 'not set'}) nor in {path}",
        expected="the file on disk, or a network",
        fix=elsewhere([remote]),
    )


def online(url: str) -> bool:
    """Whether the host of ``url`` (or the proxy that leads there) accepts a connection, within two seconds."""
    if os.environ.get("HISTOSCRIBE_OFFLINE", "0") not in ("", "0"):
        return False
    target = urlsplit(url)
    try:
        proxy = urlsplit(getproxies().get(target.scheme, ""))
        host, port = (proxy.hostname, proxy.port or 80) if proxy.hostname else (target.hostname, target.port or 443)
    except ValueError:  # a proxy without a port that is a number
        return False
    reached = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=_CONNECT_S).close()
        except (OSError, UnicodeError):  # names may be too long, too
            return
        reached.set()

    # In a thread, because looking a name up has no timeout of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_CONNECT_S)
    return reached.is_set()
