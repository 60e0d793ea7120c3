"""Files of a Hugging Face repository: from its cache, else downloaded; what stands in the way is said at once."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from ..._errors import FileError, OfflineError
from ..._files import online
from ..._json import read_json
from ..._settings import settings
from ._pickles import Trust, is_pickle, refuse

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
_OFFLINE = ("HF_HUB_OFFLINE", "HISTOSCRIBE_OFFLINE")


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
    held = _cached(repo, revision)
    taken = [[name for name in names if trust.pickles or not is_pickle(name)] for names in needed]
    if held is not None and all(any(_complete(held, name) for name in names) for names in taken):
        return held
    try:
        _check_network(repo, revision, again)
    except OfflineError:
        if held is not None and all(any(_complete(held, name) for name in names) for names in needed):
            weights_in(held, trust, needed[-1])  # all is there but for the permission: say so
        raise
    return _download(repo, needed, trust, revision=revision, wanted=wanted, again=again)


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


def _cached(repo: str, revision: str | None) -> Path | None:
    from huggingface_hub import constants

    root = Path(constants.HF_HUB_CACHE) / f"models--{repo.replace('/', '--')}"
    reference = root / "refs" / (revision or "main")
    commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else revision
    found = sorted(root.glob(f"snapshots/{commit}*")) if commit else []
    return found[0] if len(found) == 1 else None


def _check_network(repo: str, revision: str | None, again: str) -> None:
    from huggingface_hub import constants

    for name in _OFFLINE:
        if os.environ.get(name, "0").lower() not in ("", "0", "false", "no", "off"):
            raise _offline(repo, revision, f"{name} is set", again)
    if not online(constants.ENDPOINT):
        raise _offline(repo, revision, "no network", again)


def _download(
    repo: str,
    needed: Sequence[Sequence[str]],
    trust: Trust,
    *,
    revision: str | None,
    wanted: Sequence[str],
    again: str,
) -> Path:
    import huggingface_hub as hub
    from huggingface_hub import errors

    try:
        with _bars():
            commit = _whole(repo, revision)
            for name in wanted:
                if hub.file_exists(repo, name, revision=commit):
                    hub.hf_hub_download(repo, name, revision=commit)
            folders = [_first(repo, names, commit, trust) for names in needed]
    except errors.GatedRepoError as error:
        _refused(repo, error)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise _offline(repo, revision, "the network fails", again) from error
        fix = "Check the name; of a private repository, run: hf auth login"
        found = f"no such repository, revision or file ({type(error).__name__})"
        raise FileError(f"hf-hub:{repo}", found=found, expected="a repository with weights", fix=fix) from error
    except OSError as error:  # what the hub raises of network and HTTP faults is an OSError
        raise _offline(repo, revision, str(error).split("\n")[0], again) from error
    return folders[-1]


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


def _whole(repo: str, revision: str | None) -> str | None:
    """All forty letters of a commit of which we know the first: the hub takes no fewer."""
    import huggingface_hub as hub

    if revision is None or len(revision) == 40 or not _is_commit(revision):
        return revision
    for commit in hub.list_repo_commits(repo):
        if commit.commit_id.startswith(revision):
            return str(commit.commit_id)
    return revision


def _is_commit(revision: str) -> bool:
    return 7 <= len(revision) <= 40 and not set(revision) - set("0123456789abcdef")


@contextmanager
def _bars() -> Iterator[None]:
    """Show the hub's progress bars only where ours would be shown."""
    import huggingface_hub.utils

    utils: Any = huggingface_hub.utils
    hide = not (settings.progress and settings.verbosity > 0) and not utils.are_progress_bars_disabled()
    if hide:
        utils.disable_progress_bars()
    try:
        yield
    finally:
        if hide:
            utils.enable_progress_bars()


def _offline(repo: str, revision: str | None, found: str, again: str) -> OfflineError:
    from huggingface_hub import constants

    whole = revision is not None and (len(revision) == 40 or not _is_commit(revision))  # the hub takes no short ones
    command = f"hf download {repo}" + (f" --revision {revision}" if whole else "") + " --local-dir FOLDER"
    return OfflineError(
        f"hf-hub:{repo}",
        found=f"{found}; not in {constants.HF_HUB_CACHE}",
        expected="the weights on disk, or a network",
        fix=f"Where there is a network run: {command}; copy that folder here and {again}. "
        f"If it is gated, ask for access at {constants.ENDPOINT}/{repo} first. 'stain_stats' needs no weights.",
    )


def _refused(repo: str, error: Exception) -> NoReturn:
    import huggingface_hub as hub

    page = f"{hub.constants.ENDPOINT}/{repo}"
    instead = "Not gated: 'h_optimus_0', 'kaiko_s16', 'lunit_s16'."
    if hub.get_token() is None:
        found = "a gated repository, and you are not logged in"
        fix = f"Ask for access at {page}, then run: hf auth login (or set HF_TOKEN). {instead}"
    else:
        found = "a gated repository that your account has no access to (yet)"
        fix = f"Ask for access at {page} and wait until it is granted. {instead}"
    raise FileError(f"hf-hub:{repo}", found=found, expected="a repository that you may read", fix=fix) from error
