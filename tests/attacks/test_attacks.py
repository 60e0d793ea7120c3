"""Files made to harm: each ends in an error of ours, runs nothing and takes no memory. Nothing harmful is kept."""

import json
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import histoscribe as hs
from histoscribe._errors import FileError

from ..nn._networks import tiles_of
from . import _folders as f
from ._pickles import ALIVE, ALIVE_IN_TORCH, PICKLES, in_zip
from .table import ATTACKS

ROOT = Path(__file__).resolve().parents[2]
MOST_MB = 1000
# A storage of 400 GB is asked of the system in one piece, before a byte is read, and the system says no.
ASKED = "legacy huge storage"


@pytest.mark.weekly
def test_attacks_end_in_an_error_of_ours(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.attacks.attempt", str(tmp_path)]
    env = {**os.environ, "HF_HUB_DISABLE_PROGRESS_BARS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"died after {lines[-1:]}: {done.stderr[-2000:]}"
    assert {line["attack"] for line in lines} == {attack.name for attack in ATTACKS}
    wrong = [line for line in lines if not line["ours"] or line["canary"] or line["mb"] > MOST_MB]
    wrong += [line for line in lines if "allocate" in line["says"].lower() and ASKED not in line["attack"]]
    assert wrong == []


@pytest.mark.parametrize("loader", ["local-dir", "hub", "transformers", "convert"])
def test_no_pickle_is_opened_unless_allowed(tmp_path: Path, loader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("load", "Unpickler"):
        monkeypatch.setattr(torch if name == "load" else pickle, name, lambda *a, **o: pytest.fail("opened"))
    attack = next(one for one in ATTACKS if one.name == "pickle: zip")
    call = attack.make(tmp_path, tmp_path / "canary")[loader]
    with pytest.raises(FileError, match=r"weights in a pickle.*allow_pickle_weights=True"):
        call()


@pytest.mark.parametrize("name", [*ALIVE, *ALIVE_IN_TORCH])
def test_what_is_refused_is_alive(tmp_path: Path, name: str) -> None:
    path, canary = tmp_path / "w.pth", tmp_path / "canary"
    path.write_bytes(PICKLES[name](canary))
    with path.open("rb") as file:
        (pickle.load if name in ALIVE else partial(torch.load, weights_only=False))(file)
    assert canary.exists()


def _harmless(name: str) -> Callable[[Path, Path], object]:
    """Entries of config.json for which transformers would fetch, quantise or read something else."""
    return {
        "weights of another name": f.pickle_beside("transformers_weights"),
        "quantisation": f.setting(quantization_config={"quant_method": "bitsandbytes", "load_in_4bit": True}),
        "kernel of the hub": f.setting(_attn_implementation="evil/kernel", attn_implementation="evil/kernel"),
        "a thousand million classes": f.setting(num_labels=10**9),
        "half precision": f.setting(dtype="float16", torch_dtype="float16"),
    }[name]


@pytest.mark.parametrize(
    "name",
    ["weights of another name", "quantisation", "kernel of the hub", "a thousand million classes", "half precision"],
)
def test_what_a_description_asks_beside_the_network_is_not_done(tmp_path: Path, name: str) -> None:
    folder = f.copy_of("transformers", tmp_path / "network")
    clean = hs.nn.load_encoder(f"transformers:{folder}")
    _harmless(name)(folder, tmp_path / "canary")
    encoder = hs.nn.load_encoder(f"transformers:{folder}")
    tiles = tiles_of(2, 32)
    np.testing.assert_array_equal(encoder(tiles), clean(tiles))
    assert encoder.sha256 == clean.sha256
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", ["timm", "transformers"])
def test_links_are_read(tmp_path: Path, kind: str) -> None:
    # The hub's cache is made of them; a link gives nobody a right that they do not have.
    folder = f.copy_of(kind, tmp_path / "network")
    place = f"{'local-dir' if kind == 'timm' else kind}:{folder}"
    clean = hs.nn.load_encoder(place).sha256
    (folder / f.WEIGHTS).rename(tmp_path / "elsewhere.safetensors")
    (folder / f.WEIGHTS).symlink_to(tmp_path / "elsewhere.safetensors")
    assert hs.nn.load_encoder(place).sha256 == clean


def test_saving_never_replaces_what_a_link_leads_to(tmp_path: Path) -> None:
    first, other = f.copy_of("pca", tmp_path / "v1"), f.copy_of("contrastive", tmp_path / "other")
    (tmp_path / "latest").symlink_to(first)
    model = hs.nn.load(tmp_path / "latest")
    with pytest.raises(FileError, match=rf"latest: found a link to {re.escape(str(first))}"):
        hs.nn.load(other).save(tmp_path / "latest")
    assert hs.nn.load(first).sha256 == model.sha256
    (other / f.WEIGHTS).unlink()
    (other / f.WEIGHTS).symlink_to(first / f.WEIGHTS)
    before = (first / f.WEIGHTS).read_bytes()
    model.module.mean += 1
    model.save(other)
    assert (first / f.WEIGHTS).read_bytes() == before
    assert not (other / f.WEIGHTS).is_symlink()
    assert hs.nn.load(other).sha256 == model.sha256


def test_allowed_pickles_of_tensors_still_load(tmp_path: Path) -> None:
    folder = f.copy_of("transformers", tmp_path / "network")
    clean = hs.nn.load_encoder(f"transformers:{folder}")
    tensors = load_file(folder / f.WEIGHTS)
    (folder / f.WEIGHTS).unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(FileError, match=r"load_encoder\('transformers:.*', allow_pickle_weights=True\)"):
        hs.nn.load_encoder(f"transformers:{folder}")
    encoder = hs.nn.load_encoder(f"transformers:{folder}", allow_pickle_weights=True)
    tiles = tiles_of(2, 32)
    np.testing.assert_array_equal(encoder(tiles), clean(tiles))
    (folder / "pytorch_model.bin").write_bytes(in_zip(tmp_path / "canary"))
    with pytest.raises(FileError, match=r"a pickle that is refused \(GLOBAL posix\.system\)"):
        hs.nn.load_encoder(f"transformers:{folder}", allow_pickle_weights=True)
    assert not (tmp_path / "canary").exists()
