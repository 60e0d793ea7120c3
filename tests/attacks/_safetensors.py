"""Files that say they are safetensors and are not, or lie in their header."""

import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ._pickles import reduce


def _file(header: bytes | dict[str, Any], data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def _one(shape: list[int], offsets: list[int], kind: str = "F32") -> dict[str, Any]:
    return {"w": {"dtype": kind, "shape": shape, "data_offsets": offsets}}


def _overlapping(canary: Path) -> bytes:
    return _file(_one([4], [0, 16]) | {"v": _one([4], [8, 24])["w"]}, bytes(24))


def _twice(canary: Path) -> bytes:
    one = json.dumps(_one([1], [0, 4]))[1:-1]
    other = json.dumps(_one([1], [4, 8]))[1:-1]
    return _file(f"{{{one}, {other}}}".encode(), bytes(8))


SAFETENSORS: dict[str, Callable[[Path], bytes]] = {
    "header longer than the file": lambda c: _file(_one([1], [0, 4]), bytes(4), length=1 << 62),
    "header of 99 GB": lambda c: _file(_one([1], [0, 4]), bytes(4), length=99 << 30),
    "header length of all ones": lambda c: _file(_one([1], [0, 4]), bytes(4), length=(1 << 64) - 1),
    "overlapping offsets": _overlapping,
    "offsets past the end": lambda c: _file(_one([1000], [0, 4000]), bytes(4)),
    "offsets that go back": lambda c: _file(_one([1], [8, 4]), bytes(8)),
    "shape that overflows": lambda c: _file(_one([1 << 62, 8], [0, 4]), bytes(4)),
    "huge shape": lambda c: _file(_one([10**9, 48], [0, 4]), bytes(4)),
    "negative shape": lambda c: _file(_one([-1], [0, 4]), bytes(4)),
    "unknown type of number": lambda c: _file(_one([1], [0, 4], "OBJECT"), bytes(4)),
    "name twice": _twice,
    "header that is no JSON": lambda c: _file(b"{'w': __import__('os')}"),
    "header nested deeply": lambda c: _file(b'{"w":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "trailing bytes": lambda c: _file(_one([1], [0, 4]), bytes(4) + reduce(c)),
    "hole between tensors": lambda c: _file(_one([1], [4, 8]), bytes(8)),
    "a pickle by that name": lambda c: reduce(c),
    "pickled metadata": lambda c: _file({"__metadata__": {"x": pickle.dumps([1]).hex(), "y": 3}} | _one([1], [0, 4])),
    "nothing": lambda c: b"",
}
