"""Hashes of weights files are computed once, and again as soon as the file is another."""

import json
import os
from pathlib import Path

import pytest

import histoscribe as hs
from histoscribe._errors import FileError
from histoscribe._files import sha256
from histoscribe.nn.image import _hashes
from histoscribe.nn.image._hashes import check_hash, hash_files

from ._networks import TINY, network, saved


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of files whose content was hashed; all files count as settled."""
    seen: list[str] = []

    def hashed(path: Path) -> str:
        seen.append(path.name)
        return sha256(path)

    monkeypatch.setattr(_hashes, "sha256", hashed)
    monkeypatch.setattr(_hashes, "_SETTLED_NS", -(10**12))
    return seen


def test_a_file_is_read_once_for_its_hash(tmp_path: Path, read: list[str]) -> None:
    folder = saved(tmp_path / "tiny", network(**TINY), **TINY)
    first = hs.nn.load_encoder(f"local-dir:{folder}").record["weights_sha256"]
    assert hs.nn.load_encoder(f"local-dir:{folder}").record["weights_sha256"] == first
    assert read == ["model.safetensors"]
    held = json.loads((hs.settings.cache_dir / "weights.json").read_text())
    assert held[str(folder / "model.safetensors")]["sha256"] == first


def test_a_file_that_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"abc")
    first, stat = hash_files([path]), path.stat()
    path.write_bytes(b"abd")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as unpacking an archive sets it
    assert path.stat().st_mtime_ns == stat.st_mtime_ns
    assert hash_files([path]) != first
    assert len(read) == 2
    with pytest.raises(FileError, match=r"found sha256 .*delete .*a\.safetensors, then download"):
        check_hash([path], first)


def test_a_file_that_changed_just_now_is_not_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"abc")
    monkeypatch.setattr(_hashes, "_SETTLED_NS", 10**15)
    hash_files([path])
    assert not (hs.settings.cache_dir / "weights.json").exists()


@pytest.mark.parametrize("content", ["{", "[]", "[" * 100_000, '{"PATH": 3}', '{"PATH": {"state": 1, "sha256": 2}}'])
def test_broken_memory_is_ignored_and_replaced(tmp_path: Path, read: list[str], content: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"abc")
    hs.settings.cache_dir.mkdir()
    (hs.settings.cache_dir / "weights.json").write_text(content.replace("PATH", str(path)))
    first = hash_files([path])
    assert hash_files([path]) == first
    assert len(read) == 1


def test_a_memory_that_can_not_be_written_does_no_harm(tmp_path: Path, read: list[str]) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"abc")
    hs.settings.cache_dir.write_text("a file where the folder should be")
    assert hash_files([path]) == hash_files([path])
    assert len(read) == 2


def test_links_of_the_hub_are_named_with_what_they_lead_to(tmp_path: Path, read: list[str]) -> None:
    (tmp_path / "blob").write_bytes(b"abc")
    (tmp_path / "model.safetensors").symlink_to("blob")
    with pytest.raises(FileError, match=r"delete \S*/blob and \S*/model\.safetensors, then"):
        check_hash([tmp_path / "model.safetensors"], "0" * 64)
