"""Text files as other people's tools leave them: gzipped or not, with a byte-order mark, with CRLF."""

import csv
import gzip
import zlib
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from .._errors import FileError

_GZIP_MAGIC = b"\x1f\x8b"


def existing(path: str | Path, *, argument: str) -> Path:
    """Path of a file that is there."""
    path = Path(path).expanduser()
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileError(f"{argument} ({path})", found=found, expected="a file", fix="Check the path.")
    return path


def read_text(path: str | Path, *, argument: str = "path") -> str:
    """Whole text of a file, unpacked where its first bytes say gzip, without byte-order mark."""
    path = existing(path, argument=argument)
    raw = path.read_bytes()
    try:
        return (gzip.decompress(raw) if raw.startswith(_GZIP_MAGIC) else raw).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error) as error:
        fix = "The file is broken: fetch it again."
        raise FileError(str(path), found=f"broken gzip ({error})", expected="a whole file", fix=fix) from error
    except UnicodeDecodeError as error:
        raise FileError(
            str(path), found=f"bytes that are not text ({error})", expected="UTF-8 text", fix="Check the file."
        ) from error


def read_table(path: str | Path, *, argument: str = "path", **options: Any) -> tuple[pd.DataFrame, list[str]]:
    """Table separated by tabs or commas, and the fields of its first line as they stand there."""
    text = read_text(path, argument=argument)
    first = text.partition("\n")[0].rstrip("\r")
    separator = "," if first.count(",") > first.count("\t") else "\t"
    try:
        return pd.read_csv(StringIO(text), sep=separator, **options), next(csv.reader([first], delimiter=separator))
    except (ValueError, csv.Error) as error:  # pandas' parser errors are ValueErrors
        expected = "a table separated by tabs or commas"
        raise FileError(str(path), found=str(error), expected=expected, fix="Check that the file is whole.") from error
