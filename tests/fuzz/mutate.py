"""Inputs that are almost right: valid ones with parts dropped, doubled, swapped or replaced by what nobody expects."""

import copy
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st

ODD_TEXT = (
    "",
    " ",
    "\t",
    "\0",
    "NaN",
    "-inf",
    "1e400",
    "9" * 400,
    "0x1F",
    "١٢",
    "\u2028",
    "🧬",
    '"',
    "null",
    "-0",
    "1_0",
    "../x",
)
ODD_VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1e308,
    -1e-320,
    10**400,
    math.nan,
    math.inf,
    -math.inf,
    *ODD_TEXT,
    [],
    {},
    [[]],
    {"": None},
    [1, "a", None],
)


def odd_values() -> st.SearchStrategy[Any]:
    """Values of every JSON type, and some that JSON should not have."""
    leaves = st.sampled_from(ODD_VALUES) | st.integers() | st.floats() | st.text(max_size=8)
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    )


def texts(valid: Sequence[str]) -> st.SearchStrategy[str]:
    """Valid texts with a few edits of lines, fields and characters, and texts that are nothing of the kind."""
    return st.one_of(
        st.sampled_from(valid),
        st.text(max_size=200),
        st.tuples(st.sampled_from(valid), st.lists(_edits(), min_size=1, max_size=4)).map(_edited),
    )


def _edits() -> st.SearchStrategy[tuple[str, int, int, str]]:
    kind = st.sampled_from(("cut", "drop", "double", "field", "lose", "insert", "swap", "separator"))
    place = st.integers(0, 10_000)
    return st.tuples(kind, place, place, st.sampled_from(ODD_TEXT) | st.text(max_size=6))


def _edited(drawn: tuple[str, list[tuple[str, int, int, str]]]) -> str:
    text, edits = drawn
    for kind, line, field, new in edits:
        text = _EDITS[kind](text, line, field, new)
    return text


def _in_line(change: Callable[[list[str], int, str], list[str]]) -> Callable[[str, int, int, str], str]:
    def edit(text: str, line: int, field: int, new: str) -> str:
        lines = text.split("\n")
        at = line % len(lines)
        sign = "\t" if "\t" in lines[at] else ","
        parts = lines[at].split(sign)
        lines[at] = sign.join(change(parts, field % len(parts), new))
        return "\n".join(lines)

    return edit


def _of_lines(change: Callable[[list[str], int, int], list[str]]) -> Callable[[str, int, int, str], str]:
    def edit(text: str, line: int, field: int, new: str) -> str:
        lines = text.split("\n")
        return "\n".join(change(lines, line % len(lines), field % len(lines)))

    return edit


_EDITS: dict[str, Callable[[str, int, int, str], str]] = {
    "cut": lambda text, line, field, new: text[: line % (len(text) + 1)],
    "drop": _of_lines(lambda lines, a, b: lines[:a] + lines[a + 1 :]),
    "double": _of_lines(lambda lines, a, b: [*lines[:a], lines[a], *lines[a:]]),
    "swap": _of_lines(
        lambda lines, a, b: [lines[b] if k == a else lines[a] if k == b else one for k, one in enumerate(lines)]
    ),
    "field": _in_line(lambda parts, at, new: [*parts[:at], new, *parts[at + 1 :]]),
    "lose": _in_line(lambda parts, at, new: parts[:at] + parts[at + 1 :]),
    "insert": _in_line(lambda parts, at, new: [*parts[:at], new, *parts[at:]]),
    "separator": lambda text, line, field, new: text.replace("\t" if "\t" in text else ",", new or ";"),
}


def packed(strategy: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Bytes with some of them overwritten, cut off or doubled."""
    places = st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=3)
    return st.tuples(strategy, places, st.none() | st.integers(0, 10_000)).map(_damaged)


def _damaged(drawn: tuple[bytes, list[tuple[int, int]], int | None]) -> bytes:
    content, places, end = bytearray(drawn[0]), drawn[1], drawn[2]
    for at, value in places:
        if content:
            content[at % len(content)] = value
    return bytes(content[: end % (len(content) + 1)] if end is not None else content)


def objects(valid: Sequence[dict[str, Any]]) -> st.SearchStrategy[Any]:
    """Valid objects with a few values dropped, replaced, added or nested, at any depth; and any other value."""
    edit = st.tuples(
        st.sampled_from(("drop", "replace", "replace", "add", "nest")), st.integers(0, 10_000), odd_values()
    )
    edited = st.tuples(st.sampled_from(valid), st.lists(edit, min_size=1, max_size=3)).map(_objects_edited)
    return st.one_of(st.sampled_from(valid), edited, edited, edited, odd_values())


def _objects_edited(drawn: tuple[dict[str, Any], list[tuple[str, int, Any]]]) -> Any:
    value = json.loads(json.dumps(drawn[0]))
    for kind, place, drawn_value in drawn[1]:
        new = copy.deepcopy(drawn_value)  # or an edit would change what is drawn later
        holders = _holders(value)
        holder, key = holders[place % len(holders)]
        if kind == "drop":
            del holder[key]
        elif kind == "add" and isinstance(holder, dict):
            holder[f"new{place}"] = new
        elif kind == "nest":
            holder[key] = {"inside": [holder[key]]}
        else:
            holder[key] = new
        if not _holders(value):
            break
    return value


def _holders(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a nested value that can be replaced."""
    found: list[tuple[Any, Any]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(pairs):
        found += [(value, key), *_holders(inner)]
    return found


def json_texts(valid: Sequence[dict[str, Any]]) -> st.SearchStrategy[str]:
    """Texts of such objects, and texts that are almost JSON."""
    written = objects(valid).map(lambda value: json.dumps(value, default=str))
    nested = st.integers(1, 3000).map(lambda n: '{"a":' * n + "1" + "}" * n)
    whole = [json.dumps(one, indent=1) for one in valid]
    return st.one_of(written, written, written, texts(whole), nested)
