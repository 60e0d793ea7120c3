import gzip
import hashlib
import os
import time
from pathlib import Path

import pytest

from histoscribe._errors import FileError, OfflineError
from histoscribe._files import Remote, atomic, fetch, online, sha256
from histoscribe._settings import settings

CONTENT = b"genes"
HASH = hashlib.sha256(CONTENT).hexdigest()
REMOTE = Remote("set/genes.tsv", HASH, "https://histoscribe.invalid/genes.tsv")


def _put(folder: Path, content: bytes = CONTENT, name: str = "set/genes.tsv") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_file_takes_its_place_only_when_it_is_whole(tmp_path: Path) -> None:
    path = _put(tmp_path, b"old")
    with pytest.raises(ZeroDivisionError), atomic(path) as beside:
        beside.write_bytes(b"half" * (1 // 0))
    assert path.read_bytes() == b"old"
    with atomic(path) as beside:
        assert beside.suffix == path.suffix
        beside.write_bytes(b"new")
    assert path.read_bytes() == b"new"
    assert os.listdir(path.parent) == [path.name]


def test_data_folder_first_then_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = _put(settings.cache_dir / "data")
    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    assert fetch(REMOTE) == cached
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(tmp_path / "data"))
    assert fetch(REMOTE) == cached
    named = _put(tmp_path / "data")
    assert fetch(REMOTE) == named
    assert sha256(named) == HASH


def test_gzipped_copy_is_checked_by_what_is_inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(tmp_path))
    path = _put(tmp_path, gzip.compress(CONTENT, mtime=0), "set/genes.tsv.gz")
    assert fetch(REMOTE) == path


@pytest.mark.parametrize(
    ("content", "name"), [(b"gene", "genes.tsv"), (gzip.compress(CONTENT, mtime=0)[:-9], "genes.tsv.gz")]
)
def test_broken_file_is_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, name: str
) -> None:
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(tmp_path))
    _put(tmp_path, content, f"set/{name}")
    with pytest.raises(FileError, match=rf"{name}.*delete it"):
        fetch(REMOTE)


@pytest.mark.parametrize("offline", ["1", "0"])
def test_offline_is_known_quickly_and_says_what_to_do(monkeypatch: pytest.MonkeyPatch, offline: str) -> None:
    monkeypatch.setenv("HISTOSCRIBE_OFFLINE", offline)
    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.perf_counter()
    with pytest.raises(OfflineError, match=r"genes\.tsv.*histoscribe\.invalid.*HISTOSCRIBE_DATA"):
        fetch(REMOTE)
    assert time.perf_counter() - start < 2


def test_a_listening_host_is_online_and_a_closed_port_is_not() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert online(f"http://127.0.0.1:{port}/x")
    assert not online(f"http://127.0.0.1:{port}/x")


def test_download_checks_the_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading
    from functools import partial
    from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    _put(tmp_path, CONTENT, "genes.tsv")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/genes.tsv"
        path = fetch(Remote("set/genes.tsv", HASH, url))
        assert path.read_bytes() == CONTENT
        assert path.is_relative_to(settings.cache_dir)
        with pytest.raises(FileError, match=url):
            fetch(Remote("set/other.tsv", "0" * 64, url))
        assert not (settings.cache_dir / "data/set/other.tsv").exists()
        server.shutdown()
