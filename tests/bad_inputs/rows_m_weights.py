"""Rows of the catalogue: weights files that are broken, changed, dangerous or of something else."""

import errno
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

import histoscribe as hs
from histoscribe._errors import FileError, OptionError
from histoscribe.nn.image import _table

from ..nn._networks import TINY
from . import networks as n
from .row import Elsewhere, Raises, Row, Try
from .sections import pca


def _hub_of(folder: Path, tried: Callable[[], Any]) -> Any:
    with n.hub(n.in_hub(folder, "owner/name")):
        return tried()


def _known(folder: Path) -> Any:
    """Load by a name whose weights' hash the table knows: that of the folder as it was."""
    original = hs.nn.load_encoder(f"local-dir:{n._tiny()}").record["weights_sha256"]
    row = _table.Row(name="lunit_s16", source="hf-hub:owner/name", revision=n.COMMIT, sha256=original)
    with patch.dict(_table.rows(), {"lunit_s16": row}):
        return _hub_of(folder, lambda: hs.nn.load_encoder("lunit_s16"))


def _truncated(folder: Path) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    return folder


def _convert(path: Path, **options: Any) -> Any:
    return hs.nn.convert_weights(path, n.empty() / "out", architecture=n.VIT, **{"options": TINY, **options})


def _narrow(tensors: dict[str, Any]) -> None:
    tensors["blocks.0.mlp.fc1.weight"] = torch.zeros(100, 48)


def _few_positions(tensors: dict[str, Any]) -> None:
    tensors["pos_embed"] = torch.zeros(1, 50, 48)


def _without(tensors: dict[str, Any]) -> None:
    del tensors["components"]


def _full_disk(call: Try) -> Try:
    """Save over a model on a disk that is full; the old one must stay, and nothing beside it."""

    def tried(folder: Path) -> Any:
        held = {path.name: path.read_bytes() for path in folder.iterdir()}
        full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        try:
            with patch("os.fsync", side_effect=full):
                return call(folder)
        finally:
            assert {path.name: path.read_bytes() for path in folder.iterdir()} == held
            assert [path.name for path in folder.parent.iterdir()] == [folder.name]

    return tried


_CHANGED = Raises(
    FileError, "model.safetensors", r"delete .*\S*model\.safetensors, then download", "sha256 [0-9a-f]{64}"
)
_PICKLE = Raises(
    FileError, r"pytorch_model\.bin", r"call hs\.nn\.load_encoder\('.*allow_pickle_weights=True\)", "can run code"
)

ROWS: list[Row | Elsewhere] = [
    Row(
        "M6",
        "weights that were cut short in the cache",
        lambda: _truncated(n.tiny()),
        {"nn.load_encoder": _known},
        _CHANGED,
    ),
    Row(
        "M6",
        "weights that were cut short, of which no hash is known",
        lambda: _truncated(n.tiny()),
        {
            **n.encoders(),
            "nn.load_encoder (hub)": lambda f: _hub_of(f, lambda: hs.nn.load_encoder("hf-hub:owner/name")),
            "nn.convert_weights": lambda folder: _convert(folder / "model.safetensors"),
        },
        Raises(FileError, "model.safetensors", "download or copy it again"),
    ),
    Row(
        "M6",
        "a model that was cut short",
        lambda: _truncated(n.model()),
        {"nn.load": hs.nn.load, "nn.load tokens": lambda _: hs.nn.load(_truncated(n.token_folder()))},
        Raises(FileError, "model.safetensors", "copy or save it again"),
    ),
    Elsewhere(
        "M6",
        "a hash that is asked for again and again",
        "computed once, and again when the file is another",
        ("tests/nn/test_encoder_hashes.py::test_a_file_that_changed_is_read_again",),
        raised=False,
    ),
    Row("M7", "one bit of the weights is another", lambda: n.flipped(n.tiny()), {"nn.load_encoder": _known}, _CHANGED),
    Row("M7", "one bit of converted weights is another", lambda: n.flipped(n.converted()), n.encoders(), _CHANGED),
    Row(
        "M7",
        "one bit of a gene encoder is another",
        lambda: n.flipped(n.token_folder()),
        {"nn.load": hs.nn.load},
        Raises(FileError, "tokens", "copy or save them again", "sha256"),
    ),
    Row(
        "M7",
        "one bit of a model is another",
        lambda: n.flipped(n.model()),
        {"nn.load": hs.nn.load},
        Raises(FileError, "pca", "copy or save them again", "sha256"),
    ),
    Row(
        "M8",
        "weights in a pickle",
        n.pickled,
        {
            **n.encoders(),
            "nn.load_encoder (hub)": lambda f: _hub_of(f, lambda: hs.nn.load_encoder("hf-hub:owner/name")),
            "nn.load_encoder (folder)": lambda folder: hs.nn.load_encoder("kaiko_s16", folder=folder),
        },
        _PICKLE,
    ),
    Row(
        "M8",
        "a checkpoint in a pickle",
        n.pickled,
        {"nn.convert_weights": lambda folder: _convert(folder / "pytorch_model.bin")},
        Raises(
            FileError,
            r"pytorch_model\.bin",
            r"call hs\.nn\.convert_weights\('.*allow_pickle_weights=True\)",
            "can run code",
        ),
    ),
    Elsewhere(
        "M8",
        "files made to harm, allowed or not",
        "nothing in them runs, and memory stays below 1 GB",
        ("tests/attacks/test_attacks.py::test_attacks_end_in_an_error_of_ours",),
        raised=True,
    ),
    Row(
        "M12",
        "a tensor of another shape",
        lambda: n.retensored(n.tiny(), _narrow),
        {**n.encoders(), "nn.convert_weights": lambda folder: _convert(folder / "model.safetensors")},
        Raises(
            FileError,
            "model.safetensors",
            "not of one model",
            r"blocks\.0\.mlp\.fc1\.weight \(100, 48\) for \(192, 48\)",
        ),
    ),
    Row(
        "M12",
        "a model without one of its tensors",
        lambda: n.retensored(n.model(), _without),
        {"nn.load": hs.nn.load},
        Raises(FileError, "model.safetensors", "not of one model", "components missing"),
    ),
    Row(
        "M12",
        "a gene encoder whose description has one block more",
        lambda: n.described(n.token_folder(), lambda config: config["options"].update(depth=2)),
        {"nn.load": hs.nn.load},
        Raises(FileError, "model.safetensors", "not of one model", r"blocks\.1\.norm1\.weight.* missing"),
    ),
    *(
        Row(
            "M12",
            f"a gene encoder whose description has {option}={value:,}",
            partial(n.oversized, option, value),
            {"nn.load": hs.nn.load},
            Raises(FileError, "config.json", "not of one model", "far larger network"),
        )
        for option, value in {"dim": 1 << 40, "hidden": 10**9, "depth": 10**6, "n_tokens": 10**12}.items()
    ),
    Row(
        "M12",
        "weights of another architecture",
        n.tiny,
        {
            "nn.convert_weights": lambda folder: _convert(
                folder / "model.safetensors", options={**TINY, "embed_dim": 96}
            )
        },
        Raises(
            FileError, "model.safetensors", "check the name and options", r"cls_token \(1, 1, 48\) for \(1, 1, 96\)"
        ),
    ),
    Row(
        "M13",
        "positions of an input of another size",
        lambda: n.retensored(n.tiny(), _few_positions),
        {
            **n.encoders(),
            "nn.convert_weights": lambda folder: _convert(folder / "model.safetensors"),
        },
        Raises(FileError, "model.safetensors", "options=.'img_size'", r"pos_embed \(1, 50, 48\) for \(1, 197, 48\)"),
    ),
    Row(
        "M13",
        "a size other than that of its positions",
        n.tiny,
        {"nn.load_encoder": lambda folder: hs.nn.load_encoder(f"local-dir:{folder}", size=112)},
        Raises(OptionError, "size", "'dynamic_img_size': True", "112"),
    ),
    Elsewhere(
        "M18",
        "a process killed while it saves a model",
        "the old model stays",
        (
            "tests/nn/test_model.py::test_killed_save_leaves_the_old_model",
            "tests/test_kills.py::test_nothing_is_lost_when_a_writer_is_killed",
        ),
        raised=False,
    ),
    Row(
        "M19",
        "a full disk under a model that is replaced",
        n.model,
        {"nn.Model.save": _full_disk(lambda folder: pca().save(folder))},
        Raises(FileError, "pca", "space left", "No space left"),
    ),
    Row(
        "M19",
        "a full disk under converted weights that are replaced",
        n.converted,
        {
            "nn.convert_weights": _full_disk(
                lambda f: hs.nn.convert_weights(f / "model.safetensors", f, architecture=n.VIT, options=TINY)
            )
        },
        Raises(FileError, "converted", "space left", "No space left"),
    ),
    Elsewhere(
        "M19",
        "a real full disk, and a folder that is read-only",
        "an error, and the old file stays",
        (
            "tests/test_disks.py::test_full_disk_is_an_error_and_the_old_file_stays",
            "tests/test_disks.py::test_read_only_folder_is_an_error_and_the_old_file_stays",
        ),
        raised=True,
    ),
]
