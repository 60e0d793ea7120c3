"""The Hallmark sets, under the names that users type."""

import hashlib
from pathlib import Path

import pytest

from histoscribe._errors import FileError, OfflineError, OptionError
from histoscribe._files import Remote
from histoscribe.datasets import _remote, hallmark

NAME = "genesets/h.all.v7.4.symbols.gmt"
CONTENT = "HALLMARK_HYPOXIA\thttp://x\tPGK1\tPDK1\nHALLMARK_EMPTY\thttp://x\n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "copy" / NAME
    path.parent.mkdir(parents=True)
    path.write_text(CONTENT)
    remote = Remote(NAME, hashlib.sha256(CONTENT.encode()).hexdigest(), "https://nowhere.invalid/h.gmt")
    monkeypatch.setattr(_remote, "registry", lambda: {NAME: remote})
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(tmp_path / "copy"))
    return path


def test_the_prefix_is_dropped(path: Path) -> None:
    assert hallmark() == {"HYPOXIA": ["PGK1", "PDK1"], "EMPTY": []}


def test_a_changed_file_is_refused(path: Path) -> None:
    path.write_text(CONTENT.replace("PGK1", "PGK2"))
    with pytest.raises(FileError, match="delete it and retry"):
        hallmark()


@pytest.mark.parametrize("organism", ["mouse", "Human", ""])
def test_other_organisms_are_told_the_way(organism: str) -> None:
    with pytest.raises(OptionError, match=r"organism: found .*hs.io.read_gmt"):
        hallmark(organism)


def test_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    monkeypatch.setenv("HISTOSCRIBE_OFFLINE", "1")
    with pytest.raises(
        OfflineError, match=r"h.all.v7.4.symbols.gmt.*HISTOSCRIBE_DATA.*https://data.broadinstitute.org"
    ):
        hallmark()


def test_the_real_file(data: Path) -> None:
    sets = hallmark()
    assert len(sets) == 50
    assert {len(genes) for genes in sets.values()} <= set(range(32, 201))
    assert "HYPOXIA" in sets
