"""Rows of the catalogue: gene-set files, and gene sets that must be downloaded."""

import gzip
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import histoscribe as hs
from histoscribe._errors import FileError, GenesError, OfflineError, OptionError

from .row import Defined, Elsewhere, Raises, Row
from .sections import plain

GENES = tuple(f"TOY{k:04d}" for k in range(6))
SETS = {"Hypoxia (early)": list(GENES[:5]), "β-oxidation / fat": [*GENES[1:], "ELSEWHERE"]}


@cache
def _folder() -> TemporaryDirectory:
    return TemporaryDirectory(prefix="gene_sets_")


def keep(name: str, content: bytes) -> Path:
    """Write a file that lasts as long as the process."""
    path = Path(_folder().name) / name
    path.write_bytes(content)
    return path


def _line(name: str, genes: list[str]) -> str:
    return "\t".join([name, "https://example.org/a b", *genes])


CLEAN = "".join(_line(name, genes) + "\n" for name, genes in SETS.items())


def _zipped(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.writestr(name, CLEAN)
    return held.getvalue()


def _scores(gene_sets: Any) -> Any:
    adata = plain()
    hs.pp.score_pathways(adata, gene_sets, key_added="score_mine")
    return adata.obsm["score_mine"].to_numpy()


# What each function makes of a file, and what it makes of the sets that stand in it.
READ: dict[str, Callable[[Path], tuple[Any, Any]]] = {
    "io.read_gmt": lambda path: (hs.io.read_gmt(path), SETS),
    "pp.score_pathways": lambda path: (_scores(path), _scores(SETS)),
    "pp.fit_pathway_scale": lambda path: (
        hs.pp.fit_pathway_scale(plain(), path).net,
        hs.pp.fit_pathway_scale(plain(), SETS).net,
    ),
}
# The same, where an error is expected.
LOADED: dict[str, Callable[[Any], Any]] = {
    "io.read_gmt": hs.io.read_gmt,
    "pp.score_pathways": lambda path: hs.pp.score_pathways(plain(), path),
    "pp.fit_pathway_scale": lambda path: hs.pp.fit_pathway_scale(plain(), path),
}


def _same(_: Any, returned: tuple[Any, Any]) -> None:
    got, expected = returned
    if isinstance(expected, dict):
        assert got == expected
        assert list(got) == list(expected)
    else:
        np.testing.assert_array_equal(got, expected)


def _spelt(given: str, content: bytes, id: str = "G1", name: str = "sets.gmt") -> Row:
    path = f"{given[:12]}_{name}".replace(" ", "_")
    says = "read as if it were not so: names intact, equal to the plain file"
    return Row(id, given, lambda: keep(path, content), READ, Defined(says, _same))


@contextmanager
def _no_data() -> Iterator[None]:
    """Neither a data folder, nor a cache, nor a network."""
    names = ("HISTOSCRIBE_DATA", "HISTOSCRIBE_OFFLINE")
    before, cache_dir = {name: os.environ.get(name) for name in names}, hs.settings.cache_dir
    os.environ.pop("HISTOSCRIBE_DATA", None)
    os.environ["HISTOSCRIBE_OFFLINE"] = "1"
    with TemporaryDirectory() as empty:
        hs.settings.cache_dir = Path(empty)
        try:
            yield
        finally:
            hs.settings.cache_dir = cache_dir
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value


def _without_data(call: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def run(given: Any) -> Any:
        with _no_data():
            return call(given)

    return run


SPELT = [
    _spelt("CRLF line ends", CLEAN.replace("\n", "\r\n").encode()),
    _spelt("trailing tabs", CLEAN.replace("\n", "\t\t\n").encode()),
    _spelt("byte-order mark", b"\xef\xbb\xbf" + CLEAN.encode()),
    _spelt("blank lines", ("\n  \n" + CLEAN.replace("\n", "\n\n")).encode()),
    _spelt("comments", ("# made by hand\n" + CLEAN).encode()),
    _spelt("gzip", gzip.compress(CLEAN.encode(), mtime=0), "G2", "sets.gmt.gz"),
    _spelt("gzip that its name hides", gzip.compress(CLEAN.encode(), mtime=0), "G2"),
    _spelt("zip", _zipped("sets.gmt"), "G2", "sets.zip"),
    _spelt("zip of a Mac", _zipped("sets.gmt", "__MACOSX/._sets.gmt"), "G2", "sets.gmt.zip"),
]
ROWS: list[Row | Elsewhere] = [
    *SPELT,
    Row(
        "G1",
        "a file separated by blanks",
        lambda: keep("blanks.gmt", CLEAN.replace("\t", " ").encode()),
        LOADED,
        Raises(FileError, r"blanks\.gmt, line 1", "tabs", "Hypoxia"),
    ),
    Row(
        "G2",
        "a gzip cut short",
        lambda: keep("cut.gmt.gz", gzip.compress(CLEAN.encode(), mtime=0)[:-12]),
        LOADED,
        Raises(FileError, "cut", "fetch it again", "broken gzip"),
    ),
    Row(
        "G2",
        "a zip cut short",
        lambda: keep("cut.zip", _zipped("sets.gmt")[:-30]),
        LOADED,
        Raises(FileError, "cut", "fetch it again", "broken zip"),
    ),
    Row(
        "G2",
        "a zip of two files",
        lambda: keep("two.zip", _zipped("a.gmt", "b.gmt")),
        LOADED,
        Raises(FileError, "two", "Unpack it", "2 files"),
    ),
    Row(
        "G4",
        "a file that names a set twice",
        lambda: keep("twice.gmt", (CLEAN + CLEAN).encode()),
        LOADED,
        Raises(GenesError, r"twice\.gmt, line 3", "Rename or remove", "Hypoxia"),
    ),
    Row(
        "G4",
        "a file that names a gene twice in a set",
        lambda: keep("gene_twice.gmt", CLEAN.replace(GENES[2], f"{GENES[2]}\t{GENES[2]}").encode()),
        READ,
        Defined("counted once", _same),
    ),
    Row(
        "G9",
        "Hallmark neither on disk nor to be downloaded",
        plain,
        {
            "datasets.hallmark": _without_data(lambda _: hs.datasets.hallmark()),
            "pp.score_pathways": _without_data(hs.pp.score_pathways),
            "pp.fit_pathway_scale": _without_data(hs.pp.fit_pathway_scale),
        },
        Raises(OfflineError, r"h\.all\.v7\.4", r"curl .*https://\S+gmt.*HISTOSCRIBE_DATA", "no network"),
    ),
    Row(
        "G9",
        "Hallmark of a species for which no verified file is known",
        plain,
        {"datasets.hallmark": lambda _: hs.datasets.hallmark("mouse")},
        Raises(OptionError, "organism", r"read_gmt", "mouse"),
    ),
]
