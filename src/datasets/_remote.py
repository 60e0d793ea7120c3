"""The files behind the data sets: name, hash and address of each, in registry.tsv."""

from functools import cache
from pathlib import Path

from .._errors import MissingError
from .._files import Remote, fetch


@cache
def registry() -> dict[str, Remote]:
    """All files that data sets are made of, by their name below the data folder."""
    lines = Path(__file__).with_name("registry.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = (Remote(*line.split("\t")) for line in lines)
    return {remote.name: remote for remote in rows}


def path_of(name: str) -> Path:
    """Local path of a registered file, downloaded where it must be."""
    if name not in registry():
        raise MissingError("registry.tsv", found="no such file", expected=repr(name), fix="Please report this.")
    return fetch(registry()[name])
