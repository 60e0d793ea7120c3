"""Rows of the catalogue: what a folder says of a network, and what it was made for."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from safetensors.torch import load_file

import histoscribe as hs
from histoscribe._errors import FileError, GenesError, OptionError
from histoscribe.nn.image import _table

from . import networks as n
from .row import Defined, Elsewhere, Raises, Row
from .sections import pca, plain, token_model

GOLDEN = Path(__file__).resolve().parents[1] / "data" / "models_of_format_1"


def _other_statistics() -> Path:
    mean = {"mean": [0.1, 0.1, 0.1], "std": [0.9, 0.9, 0.9], "interpolation": "bicubic"}
    return n.described(n.tiny(), lambda config: config["pretrained_cfg"].update(mean))


def _of_the_table(_: Path, encoder: Any) -> None:
    mean, std = _table.NORMS["half"]
    record = encoder.record
    assert (tuple(record["mean"]), tuple(record["std"]), record["interpolation"]) == (mean, std, "bilinear")


def _poolings(folder: Path) -> dict[str, Any]:
    return {p: hs.nn.load_encoder(f"local-dir:{folder}", pooling=p) for p in ("cls", "mean", "cls+mean")}


def _told_apart(_: Path, found: dict[str, Any]) -> None:
    assert [encoder.record["pooling"] for encoder in found.values()] == list(found)
    assert [encoder.dim for encoder in found.values()] == [48, 48, 96]
    assert len({encoder.sha256 for encoder in found.values()}) == 3
    both = np.hstack([n.vectors(found["cls"]), n.vectors(found["mean"])])
    np.testing.assert_allclose(n.vectors(found["cls+mean"]), both, atol=1e-6)


def _by_hand(folder: Path, model: Any) -> None:
    """Compare a model of an old file with what its tensors say."""
    tensors = load_file(folder / "model.safetensors")
    own = model.module.state_dict()
    assert own.keys() == tensors.keys()
    assert all(torch.equal(own[name], tensors[name]) for name in own)
    if model.name == "PCA":
        counts = np.random.default_rng(3).poisson(5, (4, 6)).astype(float)
        x = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
        expected = (x - tensors["mean"].numpy()) @ tensors["components"].numpy().T
        np.testing.assert_allclose(model.module.transform(sp.csr_matrix(counts)), expected, rtol=1e-4, atol=1e-4)


def _other_genes(shift: int) -> Any:
    adata = plain()
    adata.var_names = [f"TOY{k + shift:04d}" for k in range(adata.n_vars)]
    return adata


def _with_adapter(folder: Path) -> Path:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "owner/name"}')
    return folder


ROWS: list[Row | Elsewhere] = [
    Row(
        "M11",
        "a model of other genes",
        lambda: _other_genes(100),
        {"tl.encode_genes": lambda adata: hs.tl.encode_genes(adata, pca())},
        Raises(GenesError, "var_names", "fit a model on these genes", "100 of the model's 200 genes; 100 are missing"),
    ),
    Row(
        "M11",
        "a model of a vocabulary that shares no gene",
        lambda: _other_genes(1000),
        {"tl.encode_genes": lambda adata: hs.tl.encode_genes(adata, token_model())},
        Raises(GenesError, "var_names", "var_names look like", "0 of 200 genes in the vocabulary"),
    ),
    Row(
        "M14",
        "a folder that states other means than the table",
        _other_statistics,
        {"nn.load_encoder": lambda folder: hs.nn.load_encoder("kaiko_s16", folder=folder)},
        Defined("the table's mean, deviation and interpolation are used", _of_the_table),
    ),
    Row(
        "M15",
        "several poolings of one network",
        n.tiny,
        {"nn.load_encoder": _poolings},
        Defined("the pooling is in record and hash", _told_apart),
    ),
    Row(
        "M15",
        "a pooling that the network does not have",
        n.tiny,
        {
            "nn.load_encoder": lambda folder: hs.nn.load_encoder(f"local-dir:{folder}", pooling="avg"),
            "tl.encode_image": lambda folder: n.encoded(n.section(), f"local-dir:{folder}", pooling="avg"),
        },
        Raises(OptionError, "pooling", ".", "'avg'"),
    ),
    Row(
        "M16",
        "a model of a newer format",
        lambda: n.described(n.model(), lambda config: config.update(format=2, version="9.9")),
        {"nn.load": hs.nn.load},
        Raises(FileError, "config.json", "written by histoscribe 9.9: install that version or a later one", "format 2"),
    ),
    Row(
        "M16",
        "converted weights of a newer format",
        lambda: n.described(n.converted(), lambda config: config.update(format=2, version="9.9")),
        n.encoders(),
        Raises(FileError, "config.json", "written by histoscribe 9.9: install that version or a later one", "format 2"),
    ),
    Row(
        "M17", "a gene encoder of format 1", lambda: GOLDEN / "pca", {"nn.load": hs.nn.load}, Defined("loads", _by_hand)
    ),
    Row(
        "M17",
        "a fusion model of format 1",
        lambda: GOLDEN / "contrastive",
        {"nn.load": hs.nn.load},
        Defined("loads", _by_hand),
    ),
    Elsewhere(
        "M17",
        "a checkpoint that was saved on a GPU that is not here",
        "read on the CPU",
        ("tests/nn/test_convert.py::test_weights_of_another_device_are_read_on_the_cpu",),
        raised=False,
    ),
    Row(
        "M26",
        "an adapter (LoRA) where whole weights should be",
        lambda: _with_adapter(n.tiny()),
        n.encoders(),
        Raises(FileError, "tiny", r"merge_and_unload\(\)", "an adapter"),
    ),
]
