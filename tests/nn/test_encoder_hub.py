"""Encoders from the hub: its cache, its gates, and machines without a network."""

import time
from pathlib import Path
from typing import Any

import huggingface_hub
import numpy as np
import pytest
import timm
from huggingface_hub import errors
from safetensors.torch import save_file

import histoscribe as hs
from histoscribe._errors import FileError, OfflineError, OptionError
from histoscribe.nn import _hub
from histoscribe.nn.image import _table

from ._networks import TINY, network, saved, tiles_of

COMMIT = "9ed0990" + "0" * 33


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty cache of Hugging Face, on a machine without a network."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(_hub, "online", lambda url: False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    return cache


def _cache(hub: Path, repo: str, commit: str = COMMIT, *, main: bool = True) -> Path:
    root = hub / f"models--{repo.replace('/', '--')}"
    folder = root / "snapshots" / commit
    folder.mkdir(parents=True)
    if main:
        (root / "refs").mkdir()
        (root / "refs" / "main").write_text(commit)
    return folder


def test_pinned_name_is_found_by_the_start_of_its_commit(hub: Path) -> None:
    module = network("vit_small_patch16_224", depth=1)
    folder = _cache(hub, "1aurent/vit_small_patch16_224.lunit_dino", main=False)
    saved(folder, module, depth=1)
    encoder = hs.nn.load_encoder("Lunit-S16")
    assert encoder.record["revision"] == COMMIT
    assert encoder.record["pinned"] is True
    assert encoder.record["licence"] == "Lunit non-commercial"
    assert encoder.record["mean"] == list(_table.NORMS["lunit"][0])  # not what the folder says
    assert (encoder.dim, encoder.patch, encoder.size, encoder.mpp) == (384, 16, 224, 0.5)


def test_another_commit_than_the_pinned_one_is_not_taken(hub: Path) -> None:
    saved(_cache(hub, "1aurent/vit_small_patch16_224.lunit_dino", "f" * 40), network(**TINY))
    with pytest.raises(
        OfflineError, match=r"hf download 1aurent/vit_small_patch16_224\.lunit_dino --local-dir .*folder='FOLDER'"
    ):
        hs.nn.load_encoder("lunit_s16")


def test_unpinned_name_warns_and_takes_what_is_cached(hub: Path) -> None:
    args: dict[str, Any] = {"depth": 1, "init_values": 1e-5}
    saved(_cache(hub, "MahmoodLab/uni", "a" * 40), network("vit_large_patch16_224", **args), **args)
    with pytest.warns(UserWarning, match=r"uni is unpinned.*hf-hub:MahmoodLab/uni") as caught:
        encoder = hs.nn.load_encoder("uni")
    assert caught[0].filename == __file__
    assert len(caught) == 1
    assert (encoder.dim, encoder.record["revision"], encoder.record["pinned"]) == (1024, "a" * 40, False)
    assert encoder.record["gated"] is True


def test_weights_other_than_the_known_ones_are_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(_cache(hub, "o/n"), network(**TINY), **TINY)
    row = _table.Row(name="lunit_s16", source="hf-hub:o/n", revision=COMMIT, sha256="0" * 64)
    monkeypatch.setitem(_table.rows(), "lunit_s16", row)
    with pytest.raises(
        FileError,
        match=rf"found sha256 [0-9a-f]{{64}}; expected {'0' * 64}.*delete .*model\.safetensors, then download",
    ):
        hs.nn.load_encoder("lunit_s16")


def test_place_on_the_hub_may_have_a_revision(hub: Path) -> None:
    saved(_cache(hub, "owner/name"), network(**TINY), **TINY)
    for place in ("owner/name", "owner/name@main", f"owner/name@{COMMIT}"):
        assert hs.nn.load_encoder(f"hf-hub:{place}").record["revision"] == COMMIT


def test_name_of_timm_takes_its_published_weights(hub: Path) -> None:
    module = network("resnet10t", num_classes=1000)
    folder = _cache(hub, "timm/resnet10t.c3_in1k")
    save_file(module.state_dict(), folder / "model.safetensors")
    encoder = hs.nn.load_encoder("resnet10t.c3_in1k")
    module.reset_classifier(0)  # type: ignore[operator]
    expected = hs.nn.load_encoder(module)
    assert encoder.dim == 512
    assert encoder.size == expected.size == 176
    np.testing.assert_allclose(encoder(tiles_of(1, 176)), expected(tiles_of(1, 176)), atol=1e-5)
    assert encoder.record["source"] == "hf-hub:timm/resnet10t.c3_in1k"


def test_name_of_timm_without_weights_is_refused(hub: Path) -> None:
    with pytest.raises(
        OptionError, match=r"vit_giant_patch14_224: timm has no weights.*load_encoder\(timm\.create_model"
    ):
        hs.nn.load_encoder("vit_giant_patch14_224")


@pytest.mark.parametrize("name", ["kaiko_s16", "hf-hub:owner/name", "transformers:owner/name", "resnet18"])
def test_offline_and_not_cached_is_known_at_once(hub: Path, name: str) -> None:
    timm.list_pretrained()  # what is loaded once does not count
    start = time.perf_counter()
    with pytest.raises(
        OfflineError, match=r"no network; not in .*hub.*hf download .* --local-dir FOLDER; .*(:FOLDER'|folder='FOLDER')"
    ):
        hs.nn.load_encoder(name)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "HISTOSCRIBE_OFFLINE"])
def test_offline_by_order_is_said_so_and_the_cache_still_works(
    hub: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr(_hub, "online", lambda url: pytest.fail("the network was asked"))
    with pytest.raises(OfflineError, match=f"{variable} is set"):
        hs.nn.load_encoder("hf-hub:owner/name")
    saved(_cache(hub, "owner/name"), network(**TINY), **TINY)
    assert hs.nn.load_encoder("hf-hub:owner/name").dim == 48


def _failing(monkeypatch: pytest.MonkeyPatch, error: Exception, token: str | None = None) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(_hub, "online", lambda url: True)
    monkeypatch.setattr(huggingface_hub, "file_exists", fail)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: token)


def _response(status: int) -> Any:
    module = __import__(errors.HfHubHTTPError.__init__.__annotations__["response"].__module__.split(".")[0])
    return module.Response(status, request=module.Request("GET", "https://huggingface.co/o/n"))


@pytest.mark.parametrize(
    ("token", "says"),
    [
        (
            None,
            r"gated repository, and you are not logged in.*Ask for access at https://huggingface.co/paige-ai/Virchow2.*hf auth login.*HF_TOKEN.*h_optimus_0",
        ),
        ("x", r"your account has no access.*wait until it is granted"),
    ],
)
@pytest.mark.filterwarnings("ignore:virchow2 is unpinned")
def test_gate_is_told_from_login(hub: Path, monkeypatch: pytest.MonkeyPatch, token: str | None, says: str) -> None:
    _failing(monkeypatch, errors.GatedRepoError("no", response=_response(401)), token)
    with pytest.raises(FileError, match=says):
        hs.nn.load_encoder("virchow2")


def test_faults_of_the_hub_are_told_apart(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(monkeypatch, errors.RepositoryNotFoundError("no", response=_response(404)))
    with pytest.raises(FileError, match=r"no such repository.*hf auth login"):
        hs.nn.load_encoder("hf-hub:owner/name")
    _failing(monkeypatch, ConnectionError("reset by peer"))
    with pytest.raises(OfflineError, match="reset by peer"):
        hs.nn.load_encoder("hf-hub:owner/name")


def test_download_asks_for_the_whole_commit(hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = saved(tmp_path / "remote", network("vit_small_patch16_224", depth=1), depth=1)
    asked: list[tuple[str, str]] = []

    def download(repo: str, name: str, *, revision: str) -> str:
        asked.append((name, revision))
        return str(source / name)

    commits = [type("Commit", (), {"commit_id": commit}) for commit in ("b" * 40, COMMIT)]
    monkeypatch.setattr(_hub, "online", lambda url: True)
    monkeypatch.setattr(huggingface_hub, "list_repo_commits", lambda repo, token: commits)
    monkeypatch.setattr(huggingface_hub, "file_exists", lambda repo, name, revision: (source / name).is_file())
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    assert hs.nn.load_encoder("lunit_s16").dim == 384
    assert asked == [("config.json", COMMIT), ("model.safetensors", COMMIT)]


@pytest.mark.filterwarnings("error")
def test_folder_that_was_downloaded_elsewhere_keeps_what_the_table_says(hub: Path, tmp_path: Path) -> None:
    folder = saved(tmp_path / "uni", network("vit_small_patch16_224", depth=1, init_values=1e-5), depth=1)
    encoder = hs.nn.load_encoder("uni", folder=folder)
    assert (encoder.name, encoder.record["licence"]) == ("uni", "CC-BY-NC-ND-4.0")
    assert encoder.record["mean"] == list(_table.NORMS["imagenet"][0])
    assert encoder.record["pinned"] is False
    with pytest.raises(FileError, match="no such folder"):
        hs.nn.load_encoder("uni", folder=tmp_path / "nowhere")
    with pytest.raises(OptionError, match=r"folder: .*None but for names of hs\.nn\.encoders"):
        hs.nn.load_encoder("resnet18", folder=folder)
