"""Models to and from Hugging Face."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._errors import FileError, OfflineError
from ._card import CARD, card
from ._hub import Repo, asking, check_network
from ._save import CONFIG, WEIGHTS


def push(model: Any, repo: Repo, *, private: bool, licence: str | None, message: str) -> str:
    """Upload a model and its card in one commit, which is returned."""
    import huggingface_hub as hub

    with tempfile.TemporaryDirectory() as folder, _later(repo), asking(repo), _writing(repo):
        check_network(repo)
        place = Path(folder) / "model"
        model.save(place)
        (place / CARD).write_text(card(model, repo.name, licence), encoding="utf-8")
        api = hub.HfApi(token=repo.token)
        api.create_repo(repo.name, private=private, exist_ok=True)
        if repo.revision is not None:
            api.create_branch(repo.name, branch=repo.revision, exist_ok=True)
        done = api.upload_folder(repo_id=repo.name, folder_path=place, revision=repo.revision, commit_message=message)
    return str(done.oid)


@contextmanager
def _later(repo: Repo) -> Iterator[None]:
    try:
        yield
    except OfflineError as error:
        fix = "Save it with Model.save; where there is a network, hs.nn.load it and push it."
        found = str(error.found).split("; not in ")[0]
        raise OfflineError(repo.label, found=found, expected="a network", fix=fix) from error


@contextmanager
def _writing(repo: Repo) -> Iterator[None]:
    from huggingface_hub import errors

    field, expected = repo.label, "a repository that you may write to"
    try:
        yield
    except errors.LocalTokenNotFoundError as error:
        fix = "Run: hf auth login, or pass token=."
        raise FileError(field, found="you are not logged in", expected=expected, fix=fix) from error
    except errors.HfHubHTTPError as error:
        status = getattr(error.response, "status_code", None)
        if status not in (401, 403, 404):
            raise
        fix = "Check the owner's name, and that the token may write: hf auth login, or token=."
        raise FileError(field, found=f"refused by the hub (HTTP {status})", expected=expected, fix=fix) from error


def pull(repo: Repo) -> Path:
    """Folder of a model in the hub's cache, brought up to date where the network allows it."""
    import huggingface_hub as hub

    held = repo.cached()
    there = held is not None and all((held / name).is_file() for name in (CONFIG, WEIGHTS))
    if held is not None and there and repo.names_commit():  # a commit never changes
        return held
    try:
        check_network(repo)
        with asking(repo):
            wanted = [CONFIG, WEIGHTS, CARD]
            found = hub.snapshot_download(repo.name, revision=repo.whole(), token=repo.token, allow_patterns=wanted)
    except OfflineError:
        if held is None or not there:
            raise
        return held
    return _whole(Path(str(found)), repo)


def _whole(folder: Path, repo: Repo) -> Path:
    lacking = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if lacking:
        fix = "Name a repository that Model.push_to_hub wrote; encoders of images are loaded by hs.nn.load_encoder."
        raise FileError(repo.label, found=f"no {', '.join(lacking)}", expected="a model of histoscribe", fix=fix)
    return folder
