import copy
import itertools
import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from histoscribe import _atomic
from histoscribe._errors import FileError, MissingError
from histoscribe.nn import FUSIONS, MODELS, Contrastive, Model, load
from histoscribe.nn._seed import seeded


@pytest.fixture
def model() -> Model:
    with seeded(0):
        made = Model.new(Contrastive(dim=8, hidden=4), {"sizes": {"image": 3, "genes": 5}, "slots": {"image": "X"}})
    made.history = [{"epoch": 0, "train_loss": 1.5}]
    return made


def test_model_comes_back_as_it_was(model: Model, tmp_path: Path) -> None:
    model.save(tmp_path / "m")
    back = load(tmp_path / "m")
    assert (back.config, back.meta, back.history) == (model.config, model.meta, model.history)
    assert back.sha256 == model.sha256
    assert not back.module.training
    for name, value in model.module.state_dict().items():
        assert torch.equal(back.module.state_dict()[name], value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["m"]
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["config.json", "model.safetensors"]


def test_saving_twice_gives_the_same_bytes(model: Model, tmp_path: Path) -> None:
    for name in ("a", "b"):
        model.save(tmp_path / name)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_hash_covers_options_and_meta(model: Model) -> None:
    hashes = {model.sha256}
    hashes.add(Model(Contrastive(dim=8, hidden=4, image_weight=0.1), model.module, model.meta).sha256)
    hashes.add(Model(model.config, model.module, {**model.meta, "slots": {"image": "Y"}}).sha256)
    with torch.no_grad():
        model.module.log_scale += 1
    hashes.add(model.sha256)
    assert len(hashes) == 4


def _tensors(folder: Path, change: Any) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors")


def _config(folder: Path, change: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def _truncate(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-10])


def _flip(folder: Path) -> None:
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "model.safetensors").write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "error", "says"),
    [
        (lambda f: _tensors(f, lambda t: t.pop("log_scale")), FileError, "log_scale missing"),
        (lambda f: _tensors(f, lambda t: t.update(more=torch.ones(1))), FileError, "more left over"),
        (
            lambda f: _tensors(f, lambda t: t.update({"image.scale.mean": torch.ones(4)})),
            FileError,
            r"image\.scale\.mean \(4,\) for \(3,\)",
        ),
        (_truncate, FileError, "expected safetensors"),
        (_flip, FileError, "found sha256"),
        (lambda f: _config(f, lambda c: c["options"].update(image_weight=0.1)), FileError, "found sha256"),
        (lambda f: _config(f, lambda c: c.update(format=2, version="9.9")), FileError, r"format 2.*histoscribe 9\.9"),
        (lambda f: _config(f, lambda c: c.update({"class": "Contrastiv"})), MissingError, "mean Contrastive"),
        (lambda f: _config(f, lambda c: c["options"].update(depth=3)), FileError, "depth"),
        (lambda f: _config(f, lambda c: c.pop("meta")), FileError, "meta"),
        (lambda f: (f / "config.json").write_text("{"), FileError, r"config\.json"),
        (lambda f: (f / "config.json").unlink(), FileError, r"config\.json.*Model\.save"),
    ],
)
def test_harmed_folder_is_refused(model: Model, tmp_path: Path, harm: Any, error: Any, says: str) -> None:
    model.save(tmp_path / "m")
    harm(tmp_path / "m")
    with pytest.raises(error, match=says):
        load(tmp_path / "m")


def test_folder_that_is_no_model_is_not_replaced(model: Model, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(FileError, match="no model"):
        model.save(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


class Killed(BaseException):
    """As a signal would: no handler of the code under test catches it."""


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_killed_save_leaves_the_old_model(
    model: Model, tmp_path: Path, nth: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model.save(tmp_path / "m")
    calls = itertools.count(1)

    def dying(real: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(calls) >= nth:  # the process is gone: whatever comes after this does not happen either
                raise Killed
            return real(*args, **kwargs)

        return call

    new = Model(model.config, copy.deepcopy(model.module), {**model.meta, "new": True})
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", dying(Path.write_bytes))
        patch.setattr(_atomic, "_swap", lambda *_: False)  # as on a system that can't exchange two names
        patch.setattr(os, "rename", dying(os.rename))
        patch.setattr(_atomic, "remove", lambda _: None)
        with pytest.raises(Killed):
            new.save(tmp_path / "m")
    assert load(tmp_path / "m").sha256 == model.sha256
    model.save(tmp_path / "m")
    assert [p.name for p in tmp_path.iterdir()] == ["m"]


def test_tables_name_what_they_hold() -> None:
    for table in (MODELS, FUSIONS):
        for name in table:
            assert table[name].__name__ == name
