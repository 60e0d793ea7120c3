import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histoscribe import _atomic, _files
from histoscribe._atomic import atomic_folder
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


def test_offline_not_even_a_try_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setenv("HISTOSCRIBE_OFFLINE", "1")
    monkeypatch.setattr("pooch.HTTPDownloader", refuse)
    with pytest.raises(OfflineError):
        fetch(REMOTE)


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


def _litter(path: Path, host: str, pid: int, age_s: float = 0) -> Path:
    left = path.with_name(f".{path.stem}.{host}-{pid}-abcdef{path.suffix}")
    left.write_bytes(b"half")
    os.utime(left, (time.time() - age_s,) * 2)
    return left


def _dead() -> int:
    """Number of a process that has ended."""
    import subprocess
    import sys

    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    return done.pid


@pytest.mark.parametrize("folder", [False, True])
def test_litter_of_killed_writes_goes_at_the_next_write_and_that_of_living_ones_stays(
    tmp_path: Path, folder: bool
) -> None:
    path = tmp_path / "x.ome.tif"
    gone = [_litter(path, _atomic._HOST, _dead()), _litter(path, "0a1b2c", os.getppid(), 2 * 86400)]
    kept = [
        _litter(path, _atomic._HOST, os.getppid()),
        _litter(path, "0a1b2d", 1),
        _litter(tmp_path / "y.tif", "0a1b2c", 1),
    ]
    (tmp_path / ".x.ome.notes.tif").write_text("the user's own")
    if folder:
        with atomic_folder(path) as beside:
            (beside / "a").write_bytes(b"new")
    else:
        with atomic(path) as beside:
            beside.write_bytes(b"new")
    assert not any(one.exists() for one in gone)
    assert all(one.exists() for one in kept)
    assert len(os.listdir(tmp_path)) == len(kept) + 2


def test_two_writes_of_one_process_do_not_take_each_other_for_litter(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with atomic(path) as first:
        first.write_bytes(b"first")
        with atomic(path) as second:
            second.write_bytes(b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "real")
    with atomic(tmp_path / "link") as beside:
        beside.write_bytes(b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "real").read_bytes() == b"new"


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o002)
    try:
        with atomic(tmp_path / "group" / "x") as beside:
            beside.write_bytes(b"new")
    finally:
        os.umask(old)
    assert (tmp_path / "group" / "x").stat().st_mode & 0o777 == 0o664
    assert (tmp_path / "group").stat().st_mode & 0o777 == 0o775


@pytest.mark.parametrize("folder", [False, True])
def test_permissions_of_what_is_replaced_are_kept(tmp_path: Path, folder: bool) -> None:
    def write() -> None:
        if not folder:
            with atomic(tmp_path / "x") as beside:
                beside.write_bytes(b"new")
            return
        with atomic_folder(tmp_path / "x") as beside:
            (beside / "a").write_bytes(b"new")
            (beside / "b").mkdir()
            (beside / "b" / "c").write_bytes(b"new")

    write()
    for one in (tmp_path / "x", *(tmp_path / "x").rglob("*")):
        one.chmod(0o2775 if one.is_dir() else 0o664)
    write()
    for one in (tmp_path / "x", *(tmp_path / "x").rglob("*")):
        assert one.stat().st_mode & 0o7777 == (0o2775 if one.is_dir() else 0o664), one


def test_a_container_of_the_same_host_name_is_another_host() -> None:
    command = ["unshare", "-rp", "--fork", "--mount-proc"]
    if shutil.which("unshare") is None or subprocess.run([*command, "true"], capture_output=True).returncode:
        pytest.skip("no namespaces here")
    code = "import socket; from histoscribe import _atomic; print(socket.gethostname(), _atomic._HOST)"
    name, host = subprocess.check_output([*command, sys.executable, "-c", code], text=True).split()
    assert name == socket.gethostname()
    assert host != _atomic._HOST


def test_fault_of_what_is_read_is_not_taken_for_one_of_writing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="source"), atomic(tmp_path / "there" / "x"):
        (tmp_path / "source").read_bytes()


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_interrupted_download_leaves_nothing(monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    import pooch

    def half(self: object, url: str, path: str, _: object) -> None:
        Path(path).write_bytes(CONTENT[:2])
        raise error(28, "No space left on device")

    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    monkeypatch.setattr(_files, "online", lambda _: True)
    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", half)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else FileError):
        fetch(REMOTE)
    assert not [p for p in (settings.cache_dir / "data").rglob("*") if p.is_file()]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nge"])
def test_network_that_stalls_is_an_error_after_a_while(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    import socket
    import threading

    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    monkeypatch.setattr(_files, "_STALLED_S", 0.3)
    held = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):  # whether it is online; the download
                held.append(server.accept()[0])
                if said:
                    held[-1].settimeout(5)
                    try:
                        if held[-1].recv(1000):
                            held[-1].sendall(said)
                    except OSError:
                        pass

        threading.Thread(target=answer, daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/genes.tsv"
        start = time.perf_counter()
        with pytest.raises(OfflineError, match="timed out"):
            fetch(Remote("set/genes.tsv", HASH, url))
        assert time.perf_counter() - start < 10
    for connection in held:
        connection.close()
    assert not [p for p in (settings.cache_dir / "data").rglob("*") if p.is_file()]
