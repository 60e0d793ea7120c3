"""Files of a Hugging Face repository: from its cache, else downloaded; what stands in the way is said at once."""

import os
from collections.abc import Sequence
from pathlib import Path

from ..._errors import FileError, OfflineError
from ..._json import read_json
from .._hub import Repo, asking, check_network
from ._pickles import Trust, is_pickle, refuse

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_INSTEAD = "'stain_stats' needs no weights."
_UNGATED = "Not gated: 'h_optimus_0', 'kaiko_s16', 'lunit_s16'."


def snapshot(
    repo: str,
    needed: Sequence[Sequence[str]],
    trust: Trust,
    *,
    revision: str | None = None,
    wanted: Sequence[str] = (),
    again: str = "load 'local-dir:FOLDER'",
) -> Path:
    """Folder of one commit of a repository that has, of each of ``needed``, the first that the repository has.

    Parameters
    ----------
    repo
        ``owner/name``.
    needed
        Alternatives, in order of preference, of each file.
    trust
        Whether one of them may be a pickle.
    revision
        Commit (its first letters are enough), branch or tag; None for the main branch.
    wanted
        Files that are fetched if the repository has them.
    again
        What to do with a folder of them that was downloaded elsewhere.

    Raises
    ------
    OfflineError
        They are not in the cache and there is no network.
    FileError
        Access is not granted, the repository, revision or file does not exist, or there is only a pickle.
    """
    asked = Repo(repo, revision, again=again, instead=_INSTEAD, ungated=_UNGATED)
    held = asked.cached()
    taken = [[name for name in names if trust.pickles or not is_pickle(name)] for names in needed]
    if held is not None and all(any(_complete(held, name) for name in names) for names in taken):
        return held
    try:
        check_network(asked)
    except OfflineError:
        if held is not None and all(any(_complete(held, name) for name in names) for names in needed):
            weights_in(held, trust, needed[-1])  # all is there but for the permission: say so
        raise
    return _download(asked, needed, trust, wanted)


def weights_in(folder: Path, trust: Trust, names: Sequence[str] = WEIGHTS) -> list[Path]:
    """Weights files of a folder: one, or the shards that an index names."""
    for name in names:
        if _complete(folder, name) and (trust.pickles or not is_pickle(name)):
            return [folder / part for part in _parts(folder / name)]
    for name in filter(is_pickle, names):
        if (folder / name).is_file():
            refuse(str(folder / name), trust)
    fix = "Copy the whole folder, with config.json and model.safetensors."
    raise FileError(str(folder), found="no weights", expected=f"one of {tuple(names)}", fix=fix)


def _parts(path: Path) -> list[str]:
    if not path.name.endswith(".index.json"):
        return [path.name]
    places = read_json(path).get("weight_map")
    parts = set(map(str, places.values())) if isinstance(places, dict) else set()
    outside = sorted(part for part in parts if Path(part).name != part or "\\" in part)
    if outside or not parts:
        fix = "Do not use this folder: an index names files that lie beside it."
        found = f"files elsewhere: {outside[:4]}" if outside else "no files"
        raise FileError(str(path), found=found, expected="names of files beside it", fix=fix)
    return sorted(parts)


def _complete(folder: Path, name: str) -> bool:
    path = folder / name
    return path.is_file() and all(os.path.isfile(folder / part) for part in _parts(path))  # names may be too long


def _download(repo: Repo, needed: Sequence[Sequence[str]], trust: Trust, wanted: Sequence[str]) -> Path:
    import huggingface_hub as hub

    with asking(repo):
        commit = repo.whole()
        for name in wanted:
            if hub.file_exists(repo.name, name, revision=commit):
                hub.hf_hub_download(repo.name, name, revision=commit)
        return [_first(repo.name, names, commit, trust) for names in needed][-1]


def _first(repo: str, names: Sequence[str], revision: str | None, trust: Trust) -> Path:
    """Download the first of some files that the repository has, with its shards."""
    import huggingface_hub as hub

    there = next((name for name in names if hub.file_exists(repo, name, revision=revision)), names[0])
    if is_pickle(there) and not trust.pickles:
        refuse(f"hf-hub:{repo}/{there}", trust)
    path = Path(hub.hf_hub_download(repo, there, revision=revision))
    for part in _parts(path):
        if part != there:
            hub.hf_hub_download(repo, part, revision=revision)
    return path.parent
