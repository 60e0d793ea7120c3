"""Repositories of Hugging Face: what its cache holds, whether it can be reached, and its faults in our words."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from .._checks import check
from .._errors import FileError, OfflineError
from .._files import online
from .._settings import settings

_OFFLINE = ("HF_HUB_OFFLINE", "HISTOSCRIBE_OFFLINE")
_LONGEST = 96  # letters of a name, as the hub has it


@dataclass(frozen=True)
class Repo:
    """A repository at a revision, and what errors say of it.

    Parameters
    ----------
    name
        ``owner/name``.
    revision
        Commit (its first letters are enough), branch or tag; None for the main branch.
    token
        Of an account that may read it; None takes the one that is logged in.
    again
        What to do with its files where they were downloaded elsewhere.
    instead
        What needs no download.
    ungated
        What needs no leave.
    """

    name: str
    revision: str | None = None
    token: str | None = None
    again: str = ""
    instead: str = ""
    ungated: str = ""

    @property
    def label(self) -> str:
        """Name in messages."""
        return f"hf-hub:{self.name}"

    def cached(self) -> Path | None:
        """Folder of the revision in the cache, whatever it holds."""
        from huggingface_hub import constants

        root = Path(constants.HF_HUB_CACHE) / f"models--{self.name.replace('/', '--')}"
        reference = root / "refs" / (self.revision or "main")
        commit = reference.read_text(encoding="utf-8").strip() if reference.is_file() else self.revision
        found = sorted(root.glob(f"snapshots/{commit}*")) if commit else []
        return found[0] if len(found) == 1 else None

    def whole(self) -> str | None:
        """All forty letters of a commit of which we know the first: the hub takes no fewer."""
        import huggingface_hub as hub

        if self.revision is None or len(self.revision) == 40 or not self.names_commit():
            return self.revision
        for commit in hub.list_repo_commits(self.name, token=self.token):
            if commit.commit_id.startswith(self.revision):
                return str(commit.commit_id)
        return self.revision

    def names_commit(self) -> bool:
        """Whether the revision is a commit, or the start of one."""
        revision = self.revision or ""
        return 7 <= len(revision) <= 40 and not set(revision) - set("0123456789abcdef")


def named(repo_id: str, revision: str | None, token: str | None) -> Repo:
    """Return the repository of a model of ours, or refuse what can't be the name of one."""
    fix = "Write 'owner/name', or the path of a folder that Model.save wrote."
    whole = re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repo_id, re.ASCII) and len(repo_id) <= _LONGEST
    check("repo_id", repo_id, bool(whole), "the name of a repository, 'owner/name'", fix=fix)
    return Repo(repo_id, revision, token, again="call hs.nn.load('FOLDER')")


def check_network(repo: Repo) -> None:
    """Raise OfflineError, at once, where the hub can't or may not be reached."""
    from huggingface_hub import constants

    for name in _OFFLINE:
        if os.environ.get(name, "0").lower() not in ("", "0", "false", "no", "off"):
            raise offline(repo, f"{name} is set")
    if not online(constants.ENDPOINT):
        raise offline(repo, "no network")


@contextmanager
def asking(repo: Repo) -> Iterator[None]:
    """Say what the hub raises in our words.

    Raises
    ------
    OfflineError
        The network fails.
    FileError
        Access is not granted, or there is no such repository, revision or file.
    """
    from huggingface_hub import errors

    try:
        with _bars():
            yield
    except errors.GatedRepoError as error:
        _refused(repo, error)
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
        if isinstance(error, errors.LocalEntryNotFoundError):
            raise offline(repo, "the network fails") from error
        fix = "Check the name; of a private repository, run: hf auth login"
        found = f"no such repository, revision or file ({type(error).__name__})"
        raise FileError(repo.label, found=found, expected="a repository with weights", fix=fix) from error
    except OSError as error:  # what the hub raises of network and HTTP faults is an OSError
        raise offline(repo, str(error).split("\n")[0]) from error


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


def offline(repo: Repo, found: str) -> OfflineError:
    """Error that says how to bring the files here."""
    from huggingface_hub import constants

    whole = repo.revision is not None and (len(repo.revision) == 40 or not repo.names_commit())  # none that are short
    command = f"hf download {repo.name}" + (f" --revision {repo.revision}" if whole else "") + " --local-dir FOLDER"
    fix = (
        f"Where there is a network run: {command}; copy that folder here and {repo.again}. "
        f"If it is gated, ask for access at {constants.ENDPOINT}/{repo.name} first. {repo.instead}"
    )
    found = f"{found}; not in {constants.HF_HUB_CACHE}"
    return OfflineError(repo.label, found=found, expected="the weights on disk, or a network", fix=fix.rstrip())


def _refused(repo: Repo, error: Exception) -> NoReturn:
    import huggingface_hub as hub

    page = f"{hub.constants.ENDPOINT}/{repo.name}"
    if hub.get_token() is None and repo.token is None:
        found = "a gated repository, and you are not logged in"
        fix = f"Ask for access at {page}, then run: hf auth login (or set HF_TOKEN). {repo.ungated}"
    else:
        found = "a gated repository that your account has no access to (yet)"
        fix = f"Ask for access at {page} and wait until it is granted. {repo.ungated}"
    raise FileError(repo.label, found=found, expected="a repository that you may read", fix=fix.rstrip()) from error
