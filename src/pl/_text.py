"""Names as they are written in figures: measured, wrapped and cut before anything is drawn."""

import re
from bisect import bisect_right
from functools import lru_cache

from matplotlib.text import Text
from matplotlib.textpath import TextPath

SMALL, NORMAL, TITLE = 8.0, 9.0, 10.0  # points
INK = "#222222"


@lru_cache(maxsize=4096)
def width(text: str, points: float) -> float:
    """Width of one line of text in inches."""
    return float(TextPath((0, 0), text, size=points, usetex=False).get_extents().width) / 72 if text.strip() else 0.0


def shortened(text: str, points: float, inches: float) -> str:
    """Text, cut in its middle with an ellipsis where it is wider than ``inches``."""
    if _plain_width(text, points) <= inches:
        return text
    fitting = bisect_right(range(len(text)), inches, key=lambda kept: _plain_width(_cut(text, kept), points))
    return _cut(text, max(2, fitting - 1))


def wrapped(text: str, points: float, inches: float, lines: int = 2) -> str:
    """Text in up to ``lines`` lines no wider than ``inches``, broken after spaces, underscores and slashes."""
    rows = [""]
    for word in re.findall(r"[^\s_/]*[\s_/]*", text):
        if rows[-1] and _plain_width((rows[-1] + word).rstrip(), points) > inches:
            rows.append("")
        rows[-1] += word
    rows = [*rows[: lines - 1], "".join(rows[lines - 1 :])]
    return "\n".join(shortened(row.rstrip(), points, inches) for row in rows if row)


def written(artist: Text, text: str) -> None:
    """Write a user's name as it is: a ``$`` in it starts no formula."""
    artist.set_parse_math(False)
    artist.set_text(text)


def _cut(text: str, kept: int) -> str:
    head = (kept + 1) // 2
    tail = kept - head
    return f"{text[:head]}…{text[len(text) - tail :]}"


def _plain_width(text: str, points: float) -> float:
    return width(text.replace("$", "S"), points)
