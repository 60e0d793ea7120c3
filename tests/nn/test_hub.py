"""Models published and loaded again; a folder stands for the hub."""

import json
import shutil
from inspect import signature
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub import errors

import histoscribe as hs
from histoscribe._errors import FileError, OfflineError, OptionError
from histoscribe.nn import _hub

from .neighbourhoods import N_TOKENS
from .test_encoder_hub import _response

COMMITS = "a" * 40, "b" * 40


class Hub:
    """Repositories as folders, a copy for each commit; what is downloaded goes to a cache as the real one lays it out."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.cache = folder / "remote", folder / "cache"
        self.private: dict[str, bool] = {}
        self.branches: dict[str, list[str]] = {"main": []}
        self.said: list[str] = []
        self.downloads = 0

    # HfApi
    def __call__(self, *, token: str | None) -> "Hub":
        self.said.append(f"token {token}")
        return self

    def create_repo(self, repo_id: str, *, private: bool, exist_ok: bool) -> None:
        assert exist_ok
        self.private.setdefault(repo_id, private)

    def create_branch(self, repo_id: str, *, branch: str, exist_ok: bool) -> None:
        assert exist_ok
        self.branches.setdefault(branch, list(self.branches["main"]))

    def upload_folder(self, *, repo_id: str, folder_path: Path, revision: str | None, commit_message: str) -> Any:
        commit = COMMITS[len({commit for held in self.branches.values() for commit in held})]
        shutil.copytree(folder_path, self.folder / repo_id / commit)
        self.branches[revision or "main"].append(commit)
        self.said.append(commit_message)
        return type("CommitInfo", (), {"oid": commit})

    # module functions
    def snapshot_download(
        self, repo_id: str, *, revision: str | None, token: str | None, allow_patterns: list[str]
    ) -> str:
        self.downloads += 1
        if not (self.folder / repo_id).is_dir():
            raise errors.RepositoryNotFoundError("no", response=_response(404))
        branch = revision or "main"
        commit = self.branches[branch][-1] if branch in self.branches else branch
        if not (self.folder / repo_id / commit).is_dir():
            raise errors.RevisionNotFoundError("no", response=_response(404))
        root = self.cache / f"models--{repo_id.replace('/', '--')}"
        place = root / "snapshots" / commit
        place.mkdir(parents=True, exist_ok=True)
        for name in allow_patterns:
            if (self.folder / repo_id / commit / name).exists():
                shutil.copy(self.folder / repo_id / commit / name, place / name)
        if branch in self.branches:
            (root / "refs").mkdir(exist_ok=True)
            (root / "refs" / branch).write_text(commit)
        return str(place)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    made = Hub(tmp_path)
    monkeypatch.setattr(huggingface_hub, "HfApi", made)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", made.snapshot_download)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(made.cache))
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: None)
    monkeypatch.setattr(_hub, "online", lambda url: True)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return made


def test_the_stand_in_takes_what_the_real_one_takes() -> None:
    real = {name: getattr(huggingface_hub.HfApi, name) for name in ("create_repo", "create_branch", "upload_folder")}
    for name, function in {**real, "snapshot_download": huggingface_hub.snapshot_download}.items():
        assert set(signature(getattr(Hub, name)).parameters) <= {*signature(function).parameters, "self"}, name


@pytest.fixture
def model() -> hs.nn.Model:
    config = hs.nn.GeneEncoder(dim=8, depth=1, heads=2, hidden=8, n_tokens=6)
    vocabulary = json.dumps({"genes": [f"G{k}" for k in range(60)], "means": [1.0] * 60, "n_nonzero": [1] * 60})
    meta = {
        "sizes": {"tokens": N_TOKENS},
        "vocabulary": vocabulary,
        "n_spots": 321,
        "train": {"lr": 0.5, "strategy": "a|b"},
    }
    torch.manual_seed(0)
    made = hs.nn.Model.new(config, meta)
    made.history = [{"epoch": 0, "train_loss": 9.0, "val_loss": 7.25}, {"epoch": 1, "train_loss": 8.0, "val_loss": 7.5}]
    return made


def test_what_is_pushed_is_loaded(model: hs.nn.Model, hub: Hub) -> None:
    commit = model.push_to_hub("lab/genes", token="secret", message="first")
    back = hs.nn.Model.from_pretrained("lab/genes")
    assert (commit, back.sha256, back.config, back.meta) == (COMMITS[0], model.sha256, model.config, model.meta)
    assert hub.private == {"lab/genes": True}
    assert hub.said == ["token secret", "first"]
    there = sorted(p.name for p in (hub.folder / "lab/genes" / commit).iterdir())
    assert there == ["README.md", "config.json", "model.safetensors"]


def test_card_says_what_it_is_and_its_lines_load_it(model: hs.nn.Model, hub: Hub) -> None:
    commit = model.push_to_hub("lab/genes", licence="cc-by-4.0")
    text = (hub.folder / "lab/genes" / commit / "README.md").read_text(encoding="utf-8")
    _, head, body = text.split("---\n", 2)
    assert yaml.safe_load(head)["license"] == "cc-by-4.0"
    assert yaml.safe_load(head)["library_name"] == "histoscribe"
    for line in (
        "| n_spots | 321 |", "| genes of the vocabulary | 60 |", "| train.lr | 0.5 |", "| dim | 8 |", "| lowest val_loss | 7.25 |",
        "| train.strategy | a\\|b |", "| context | cgr |", model.sha256, "Licence: cc-by-4.0", "encode_genes(adata, model)",
    ):  # fmt: skip
        assert line in body
    assert "means" not in body
    code = body.split("```python\n")[1].split("```")[0].split("hs.tl")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    assert names["model"].sha256 == model.sha256


def test_without_a_licence_the_card_claims_none(model: hs.nn.Model, hub: Hub) -> None:
    commit = model.push_to_hub("lab/genes", private=False)
    text = (hub.folder / "lab/genes" / commit / "README.md").read_text(encoding="utf-8")
    assert "license" not in yaml.safe_load(text.split("---\n")[1])
    assert "Licence: not stated" in text
    assert hub.private == {"lab/genes": False}


def test_revisions_are_told_apart_and_a_branch_moves_on(model: hs.nn.Model, hub: Hub) -> None:
    first = model.push_to_hub("lab/genes")
    assert hs.nn.Model.from_pretrained("lab/genes").sha256 == model.sha256
    other = hs.nn.Model(model.config, model.module, {**model.meta, "n_spots": 5})
    second = other.push_to_hub("lab/genes", revision="five")
    assert hs.nn.Model.from_pretrained("lab/genes").sha256 == model.sha256
    assert hs.nn.Model.from_pretrained("lab/genes", revision="five").sha256 == other.sha256
    hub.branches["main"].append(second)
    assert hs.nn.Model.from_pretrained("lab/genes").sha256 == other.sha256
    asked = hub.downloads
    for commit, sha256 in ((first, model.sha256), (second[:10], other.sha256)):
        assert hs.nn.Model.from_pretrained("lab/genes", revision=commit).sha256 == sha256
    assert hub.downloads == asked  # a commit that is in the cache needs no network


def test_without_a_network_the_cache_is_taken(model: hs.nn.Model, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    model.push_to_hub("lab/genes")
    hs.nn.Model.from_pretrained("lab/genes")
    monkeypatch.setattr(_hub, "online", lambda url: False)
    assert hs.nn.Model.from_pretrained("lab/genes").sha256 == model.sha256
    says = r"hf-hub:lab/other: found no network; not in .*hf download lab/other --local-dir FOLDER; .*hs\.nn\.load\('FOLDER'\)"
    with pytest.raises(OfflineError, match=says):
        hs.nn.Model.from_pretrained("lab/other")
    with pytest.raises(OfflineError, match=r"found no network; expected a network\. Save it with Model\.save"):
        model.push_to_hub("lab/genes")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OfflineError, match="HF_HUB_OFFLINE is set"):
        model.push_to_hub("lab/genes")


def test_a_download_that_was_harmed_is_refused(model: hs.nn.Model, hub: Hub) -> None:
    commit = model.push_to_hub("lab/genes")
    path = hub.folder / "lab/genes" / commit / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="found sha256"):
        hs.nn.Model.from_pretrained("lab/genes")


def test_repository_of_something_else_is_refused(hub: Hub) -> None:
    folder = hub.folder / "lab/vit" / COMMITS[0]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    hub.branches["main"].append(COMMITS[0])
    with pytest.raises(FileError, match=r"hf-hub:lab/vit: found no model\.safetensors.*load_encoder"):
        hs.nn.Model.from_pretrained("lab/vit")


def test_what_is_not_there_is_named(model: hs.nn.Model, hub: Hub, tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"hf-hub:lab/genes: found no such repository.*hf auth login"):
        hs.nn.Model.from_pretrained("lab/genes")
    model.push_to_hub("lab/genes")
    with pytest.raises(FileError, match="RevisionNotFoundError"):
        hs.nn.Model.from_pretrained("lab/genes", revision="seven")
    with pytest.raises(FileError, match="nothing; expected a saved model"):
        hs.nn.Model.from_pretrained(tmp_path / "nowhere")


def test_folder_is_loaded_too(model: hs.nn.Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    (tmp_path / "m" / "README.md").write_text("as a download has it")
    for name in (tmp_path / "m", str(tmp_path / "m")):
        assert hs.nn.Model.from_pretrained(name).sha256 == model.sha256


@pytest.mark.parametrize("name", ["genes", "a/b/c", "", "lab/ge nes", "../genes", "lab/" + "x" * 300])
def test_wrong_names_are_refused(model: hs.nn.Model, hub: Hub, name: str) -> None:
    with pytest.raises(OptionError, match=r"repo_id: found .*expected the name of a repository"):
        model.push_to_hub(name)
    with pytest.raises(OptionError, match="repo_id"):
        hs.nn.Model.from_pretrained(name)
    assert hub.private == {}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (errors.LocalTokenNotFoundError("no"), r"you are not logged in.*hf auth login, or pass token="),
        (errors.HfHubHTTPError("no", response=_response(403)), r"refused by the hub \(HTTP 403\).*may write"),
        (errors.RepositoryNotFoundError("no", response=_response(404)), r"refused by the hub \(HTTP 404\)"),
        (errors.HfHubHTTPError("server error", response=_response(500)), "server error"),
        (ConnectionError("reset by peer"), "reset by peer"),
    ],
)
def test_faults_of_pushing(
    model: hs.nn.Model, hub: Hub, monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(Hub, "create_repo", fail)
    with pytest.raises(FileError, match=says):
        model.push_to_hub("lab/genes")


def test_gated_repository_says_where_to_ask(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise errors.GatedRepoError("no", response=_response(401))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(FileError, match=r"not logged in.*Ask for access at .*lab/genes, then run: hf auth login"):
        hs.nn.Model.from_pretrained("lab/genes")
    with pytest.raises(FileError, match=r"no access to \(yet\)"):
        hs.nn.Model.from_pretrained("lab/genes", token="mine")
