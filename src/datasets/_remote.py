"""The files behind the data sets: name, hash and address of each, in registry.tsv; a few lie in the package."""

from functools import cache
from pathlib import Path

from .._errors import MissingError, OfflineError
from .._files import Remote, elsewhere, fetch, find, local

PACKAGED = Path(__file__).parent


@cache
def registry() -> dict[str, Remote]:
    """All files that data sets are made of, by their name below the data folder."""
    lines = (PACKAGED / "registry.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = (Remote(*line.split("\t")) for line in lines)
    return {remote.name: remote for remote in rows}


def path_of(name: str) -> Path:
    """Local path of a registered file, downloaded if it must be."""
    return paths_of(name)[0]


def paths_of(*names: str) -> list[Path]:
    """Local paths of the files of a data set; where there is no network, the error names all that are missing."""
    if unknown := [name for name in names if name not in registry()]:
        raise MissingError("registry.tsv", found="no such file", expected=repr(unknown[0]), fix="Please report this.")
    remotes = [registry()[name] for name in names]
    try:
        return [local(PACKAGED, remote) or fetch(remote) for remote in remotes]
    except OfflineError as error:
        missing = [remote for remote in remotes if find(remote) is None]
        field = ", ".join(remote.name for remote in missing) or error.field
        fix = elsewhere(missing)
        raise OfflineError(field, found=error.found, expected="the files on disk, or a network", fix=fix) from error
