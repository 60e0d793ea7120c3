"""What a file that we wrote says of itself: version, format, and a hash of each element, written last."""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import Any

import numpy as np

from .._errors import FileError

FORMAT = 1
NAME = "histoscribe-manifest"  # an attribute of the root: anndata and zarr pass over it
_BLOCK_BYTES = 1 << 26
# Groups whose members are elements of their own: obsm/X_image, uns/spatial.
_HOLDERS = {"obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns", "raw"}


def seal(root: Any) -> None:
    """Write the manifest of everything below the root of an HDF5 file or zarr store."""
    elements = {name: describe(root, name) for name in _elements(root)}
    held = {"format": FORMAT, "version": version("histoscribe"), "elements": elements}
    root.attrs[NAME] = json.dumps(held, sort_keys=True)


def reseal(root: Any, changed: Iterable[str]) -> None:
    """Bring the manifest up to date after some elements changed; a file without one stays without."""
    if NAME not in root.attrs:
        return
    held = json.loads(root.attrs[NAME])
    elements = {**held["elements"], **{name: describe(root, name) for name in sorted(changed)}}
    stated = {"format": FORMAT, "version": version("histoscribe"), "elements": elements}
    root.attrs[NAME] = json.dumps(stated, sort_keys=True)


def check(root: Any, source: str) -> bool:
    """Compare what is there with the manifest; False where there is none.

    Raises
    ------
    FileError
        An element is missing, broken, added or changed since; or the file is of a newer format.
    """
    if NAME not in root.attrs:
        return False
    stated = _stated(root.attrs[NAME], source)
    for name, wanted in stated.items():
        with _named(source, name):
            found = describe(root, name, wanted)
        if found is None:
            raise _broken(source, name, "nothing")
        if found != wanted:
            raise _broken(source, name, "another content than was written")
    if added := sorted(set(_elements(root)) - set(stated)):
        raise _broken(source, added[0], "an element that was not written with the rest")
    return True


def first_damaged(path: str) -> str:
    """Field of the error that an HDF5 file gives; nothing where none of its elements is damaged."""
    import h5py

    with h5py.File(path, "r") as file:
        try:
            check(file, path)
        except FileError as error:
            return error.field
    return ""


def _stated(text: Any, source: str) -> dict[str, str]:
    try:
        held = json.loads(text)
        form = held["format"]
        elements = dict(held["elements"]) if form == FORMAT else {}
        if not all(isinstance(one, str) for one in (*elements, *elements.values())):
            raise TypeError("hashes that are no text")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        fix = "The file is broken: copy or write it again."
        raise FileError(f"{source}: manifest", found=repr(error), expected="what io.write wrote", fix=fix) from error
    if form != FORMAT:
        fix = f"It was written by histoscribe {held.get('version')}: install that version or a later one."
        raise FileError(f"{source}: manifest", found=f"format {form}", expected=f"format {FORMAT}", fix=fix)
    return elements


class _named:
    """Turn whatever a library raises on a broken element into an error that names it."""

    def __init__(self, source: str, name: str) -> None:
        self.source, self.name = source, name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, Exception) and not isinstance(error, FileError):
            raise _broken(self.source, self.name, f"{type(error).__name__}: {error}"[:300]) from error


def _broken(source: str, name: str, found: str) -> FileError:
    fix = "The file is damaged: copy it again from where it is whole, or make it anew and hs.io.write it."
    return FileError(f"{source}: {name}", found=found, expected="the element as it was written", fix=fix)


def _elements(root: Any) -> list[str]:
    names = []
    for name in sorted(root):
        names.append(name)
        if name in _HOLDERS and not _is_array(root[name]):
            names += [f"{name}/{key}" for key in sorted(root[name])]
    return names


def describe(root: Any, name: str, wanted: str = "") -> str | None:
    """Bytes and hash of an element with all that is below it; of a holder, of what it says and the names in it.

    Where ``wanted`` is given and says other bytes, nothing is read: a broken shape can take forever. None where there
    is no such element.
    """
    holder, _, key = name.partition("/")
    if holder not in root or (key and key not in root[holder]):
        return None
    node, deep = root[name], bool(key) or holder not in _HOLDERS
    size = f"{_size(node, deep=deep)} bytes, sha256 "
    if not wanted.startswith(size if wanted else ""):
        return size
    digest = hashlib.sha256()
    for part in _nodes(node, deep=deep):
        digest.update(part)
    return size + digest.hexdigest()


def _size(node: Any, *, deep: bool) -> int:
    if _is_array(node):
        return math.prod(node.shape or ()) * node.dtype.itemsize
    return sum(_size(node[name], deep=True) for name in node) if deep else 0


def _nodes(node: Any, *, deep: bool) -> Iterator[bytes]:
    said = {name: value.tolist() if hasattr(value, "tolist") else value for name, value in dict(node.attrs).items()}
    yield json.dumps(said, sort_keys=True, default=str).encode()
    if _is_array(node):
        yield from _content(node)
        return
    for name in sorted(node):
        yield f"/{name}/".encode()
        if deep:
            yield from _nodes(node[name], deep=True)


def _is_array(node: Any) -> bool:
    return hasattr(node, "shape")


def _content(array: Any) -> Iterator[bytes]:
    """Shape, type and values of an array, a block of rows at a time."""
    if array.shape is None:  # HDF5's empty dataset: None
        return
    plain = array.dtype.kind not in "OTSU" and not array.dtype.hasobject
    yield f"{tuple(array.shape)} {array.dtype.str if plain else 'text'}".encode()
    if array.ndim == 0:
        yield from _bytes(np.asarray(array[()]).reshape(1), plain=plain)
        return
    each = max(1, math.prod(array.shape[1:])) * array.dtype.itemsize
    chunk = (getattr(array, "shards", None) or array.chunks or (1,))[0]
    rows = max(1, _BLOCK_BYTES // each // chunk) * chunk
    for start in range(0, array.shape[0], rows):
        yield from _bytes(np.asarray(array[start : start + rows]), plain=plain)


def _bytes(values: np.ndarray, *, plain: bool) -> Iterator[bytes]:
    if plain:
        yield np.ascontiguousarray(values).tobytes()
        return
    for value in values.ravel().tolist():
        text = value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
        yield len(text).to_bytes(8, "little") + text
