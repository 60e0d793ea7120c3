"""Gene sets from GMT files."""

import re
from pathlib import Path

from .._errors import FileError, GenesError
from .._types import check_types
from ._text import read_text


def read_gmt(path: str | Path) -> dict[str, list[str]]:
    """Read gene sets from a GMT file: a set a line, its name, a description, its genes, separated by tabs.

    Names are kept as they are, spaces included. Gzip and zip (told by content), CRLF, a byte-order mark, blank lines, lines
    that start with ``#`` and trailing tabs are understood. A gene that a set names twice is kept once; a set without
    genes stays, empty.

    Parameters
    ----------
    path
        A ``.gmt`` file, plain, gzipped or zipped.

    Returns
    -------
    Set name → gene names, both in the order of the file.

    Raises
    ------
    GenesError
        The same set name stands on two lines.
    FileError
        The file is missing, broken, or has lines without tabs.

    Examples
    --------
    >>> sets = hs.io.read_gmt("h.all.v7.4.symbols.gmt")
    >>> sets["HALLMARK_HYPOXIA"][:3]
    ['PGK1', 'PDK1', 'GBE1']
    """
    check_types(read_gmt, locals())
    return parse_gmt(read_text(path), str(path))


def parse_gmt(text: str, source: str) -> dict[str, list[str]]:
    """Gene sets of the text of a GMT file; ``source`` is for messages."""
    sets: dict[str, list[str]] = {}
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, *rest = (field.strip() for field in line.split("\t"))
        if not rest or not name:
            found = repr(line[:40])
            fix = "Separate name, description and genes by tabs."
            raise FileError(f"{source}, line {number}", found=found, expected="a name and tabs", fix=fix)
        if name in sets:
            fix = "Rename or remove one of the two."
            raise GenesError(f"{source}, line {number}", found=f"{name!r} again", expected="each set once", fix=fix)
        sets[name] = list(dict.fromkeys(gene for gene in rest[1:] if gene))
    return sets
