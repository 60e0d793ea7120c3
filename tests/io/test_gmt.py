"""Gene sets are read by tabs alone, whatever tool wrote the file."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from histoscribe._errors import FileError, GenesError
from histoscribe.io import read_gmt

PLAIN = "Hypoxia (early)\thttp://x\tPGK1\tPDK1\nEmpty\tna\nOne\t\tACTB\n"
EXPECTED = {"Hypoxia (early)": ["PGK1", "PDK1"], "Empty": [], "One": ["ACTB"]}


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode(),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + PLAIN.encode(),
        ("# a comment\n\n" + PLAIN + "\n   \n").encode(),
        PLAIN.replace("\n", "\t\t\t\n").encode(),
        PLAIN.replace("PGK1", "PGK1\tPGK1").encode(),
        PLAIN.strip().encode(),
        gzip.compress(PLAIN.encode(), mtime=0),
    ],
    ids=["plain", "crlf", "cr", "bom", "blank", "trailing tabs", "duplicate gene", "no last newline", "gzip"],
)
def test_all_spellings_are_one_content(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"  # gzip too: told by its first bytes
    path.write_bytes(content)
    assert read_gmt(path) == EXPECTED
    assert list(read_gmt(path)) == list(EXPECTED)


@pytest.mark.parametrize("seed", range(20))
def test_random_sets_come_back(seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    letters = list("abcXYZ019 ._-/()'α\u2028")

    def name() -> str:
        return "n" + "".join(rng.choice(letters, rng.integers(0, 12))) + "n"

    sets = {name(): [f"G{g}" for g in rng.permutation(50)[: rng.integers(0, 9)]] for _ in range(rng.integers(1, 30))}
    end = ("\n", "\r\n")[seed % 2]
    text = "".join(
        "\t".join([key, name(), *genes]) + "\t" * int(rng.integers(0, 3)) + end for key, genes in sets.items()
    )
    raw = ("\ufeff" * (seed % 3 == 0) + text).encode()
    path = tmp_path / "random.gmt.gz"
    path.write_bytes(gzip.compress(raw, mtime=0) if seed % 4 else raw)
    assert read_gmt(path) == sets


def test_the_same_set_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_text("A\tx\tG1\nB\tx\tG1\nA\tx\tG2\n")
    with pytest.raises(GenesError, match=r"line 3: found 'A' again; expected each set once. Rename"):
        read_gmt(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"A G1 G2\n", r"line 1: found 'A G1 G2'; expected a name and tabs"),
        (b"\tx\tG1\n", "line 1"),
        (gzip.compress(PLAIN.encode() * 50, mtime=0)[:60], "broken gzip"),
        (b"A\tx\t\xff\xfe\n", "not text"),
    ],
)
def test_broken_files(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "sets.gmt"
    path.write_bytes(content)
    with pytest.raises(FileError, match=message):
        read_gmt(path)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"path .*none.gmt.*found nothing"):
        read_gmt(tmp_path / "none.gmt")
    with pytest.raises(FileError, match="a folder"):
        read_gmt(tmp_path)


def test_real_files_agree(data: Path) -> None:
    newer = read_gmt(data / "genesets" / "h.all.v7.5.1.symbols.gmt")
    older = read_gmt(data / "genesets" / "h.all.v7.4.symbols.gmt")
    assert len(newer) == len(older) == 50
    assert {name.removeprefix("HALLMARK_") for name in older} == set(newer)
