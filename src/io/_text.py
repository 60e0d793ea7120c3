"""Text files as other people's tools leave them: gzipped, zipped or plain, with a byte-order mark, with CRLF."""

import csv
import gzip
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from .._errors import FileError, HistoscribeError
from ._paths import existing

_GZIP_MAGIC, _ZIP_MAGIC = b"\x1f\x8b", b"PK\x03\x04"
_MOST_BYTES = 1 << 29  # unpacked: a few kB can be packed that fill any memory
_BROKEN = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError, NotImplementedError, ValueError)


def read_text(path: str | Path, *, argument: str = "path") -> str:
    """Whole text of a file, unpacked where its first bytes say gzip or zip, without byte-order mark."""
    path = existing(path, argument=argument)
    return as_text(path.read_bytes(), str(path))


def as_text(raw: bytes, source: str) -> str:
    """Text of what a file holds; ``source`` is for messages."""
    try:
        return _unpacked(raw, source).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FileError(
            source, found=f"bytes that are not text ({error})", expected="UTF-8 text", fix="Check the file."
        ) from error


def _unpacked(raw: bytes, source: str) -> bytes:
    if not raw.startswith((_GZIP_MAGIC, _ZIP_MAGIC)):
        return raw
    kind = "gzip" if raw.startswith(_GZIP_MAGIC) else "zip"
    try:
        content = _content(gzip.GzipFile(fileobj=BytesIO(raw)), source) if kind == "gzip" else _only_member(raw, source)
    except _BROKEN as error:
        if isinstance(error, FileError):
            raise
        fix = "The file is broken: fetch it again."
        raise FileError(source, found=f"broken {kind} ({error})", expected="a whole file", fix=fix) from error
    return content


def _content(file: Any, source: str) -> bytes:
    held = bytearray()
    with file:
        while part := file.read(1 << 20):
            held += part
            if len(held) > _MOST_BYTES:
                found = f"more than {_MOST_BYTES >> 20} MB once unpacked"
                raise FileError(source, found=found, expected="less", fix="Unpack it, and see what it holds.")
    return bytes(held)


def _only_member(raw: bytes, source: str) -> bytes:
    with zipfile.ZipFile(BytesIO(raw)) as archive:
        names = [one.filename for one in archive.infolist() if not one.is_dir() and "__MACOSX" not in one.filename]
        if len(names) != 1:
            fix = "Unpack it, and pass the path of one of them."
            raise FileError(source, found=f"a zip of {len(names)} files", expected="one file in it", fix=fix)
        return _content(archive.open(names[0]), source)


def read_table(path: str | Path, *, argument: str = "path", **options: Any) -> tuple[pd.DataFrame, list[str]]:
    """Table separated by tabs or commas, and the fields of its first line as they stand there."""
    return parse_table(read_text(path, argument=argument), str(path), **options)


def parse_table(text: str, source: str, **options: Any) -> tuple[pd.DataFrame, list[str]]:
    """Table of a text, and the fields of its first line; ``source`` is for messages."""
    first = text.lstrip().partition("\n")[0].rstrip("\r")
    separator = "," if first.count(",") > first.count("\t") else "\t"
    with refused_tables(source, "a table separated by tabs or commas"):
        # At once: of thousands of columns, pandas' chunks are a few rows each, and joining them takes longer than parsing.
        table = pd.read_csv(StringIO(text), sep=separator, low_memory=False, **options)
        return table, _fields(text, separator)


def _fields(text: str, separator: str) -> list[str]:
    """Fields of the first line that pandas does not skip as blank, duplicates and all."""
    rows = csv.reader(StringIO(text, newline=""), delimiter=separator)
    return next((row for row in rows if len(row) > 1 or (row and row[0].strip())), [])


@contextmanager
def refused_tables(source: str, expected: str) -> Iterator[None]:
    """Turn what pandas raises of a broken table into an error that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of fields that are lost
            yield
    # pandas' parser errors are ValueErrors.
    except (ValueError, KeyError, IndexError, TypeError, OverflowError, csv.Error, pd.errors.ParserWarning) as error:
        if isinstance(error, HistoscribeError):
            raise
        found = str(error).strip().split("\n")[0][:300]
        raise FileError(source, found=found, expected=expected, fix="Check that the file is whole.") from error
