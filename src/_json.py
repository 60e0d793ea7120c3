"""JSON that others wrote: an object, of a size that a description has."""

import json
from pathlib import Path
from typing import Any

from ._errors import FileError

_MOST_BYTES = 16 << 20  # a parsed value takes up to twenty times its text


def read_json(path: str | Path, *, expected: str = "a JSON object") -> dict[str, Any]:
    """Content of a JSON file that holds an object.

    Raises
    ------
    FileError
        It is missing, too large, nested too deeply, broken or something else than an object.
    """
    path = Path(path)
    fix = "Copy the whole folder again from where it was made."
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            found = f"{size:,} bytes"
            raise FileError(str(path), found=found, expected=f"{expected} of {_MOST_BYTES >> 20} MB at most", fix=fix)
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise FileError(str(path), found="nothing", expected=expected, fix=fix) from None
    except FileError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        found = "JSON that is nested too deeply" if isinstance(error, RecursionError) else f"no JSON ({error})"
        raise FileError(str(path), found=found, expected=expected, fix=fix) from error
    if not isinstance(value, dict):
        raise FileError(str(path), found=f"a JSON {type(value).__name__}", expected=expected, fix=fix)
    return value
