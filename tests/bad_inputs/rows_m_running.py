"""Rows of the catalogue: encoders and models at work, on devices that are full, absent or of another precision."""

import logging
import warnings
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from anndata import AnnData
from torch import Tensor, nn

import histoscribe as hs
from histoscribe._errors import OptionError, TrainingError
from histoscribe.nn import Contrastive, TrainConfig

from ..nn._networks import network, tiles_of
from . import networks as n
from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import SHORT, SMALL, plain, prepared, token_model


class _Means(nn.Module):
    """Mean colours, on a device with room for so many tiles."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def forward(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return pixels.mean(dim=(2, 3))


def _encoded(room: int) -> Any:
    adata = n.section()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "mpp of section")
        n.encoded(adata, hs.nn.load_encoder(_Means(room), size=32))
    return adata.obsm["X_image"]


def _as_with_room(_: Any, found: Any) -> None:
    assert len(found) == 8
    assert found.std() > 0
    np.testing.assert_allclose(found, _encoded(1000), atol=1e-6)


def _without_gpu(call: Try) -> Try:
    def tried(given: Any) -> Any:
        with patch("torch.cuda.is_available", lambda: False), patch("torch.backends.mps.is_available", lambda: False):
            return call(given)

    return tried


def _fused(adata: AnnData, train: TrainConfig | None = None, **options: Any) -> Any:
    train = train or TrainConfig(epochs=1, accelerator="cpu" if "device" not in options else "auto")
    return hs.tl.fuse(adata, Contrastive(dim=4, hidden=4), train=train, **options)


def _by_settings(_: Any) -> Any:
    with patch.object(hs.settings, "device", "cuda"):
        return hs.nn.load_encoder(network("resnet10t"))


def _embedded(adata: AnnData, **options: Any) -> AnnData:
    hs.tl.embed(adata, _fused(adata), **options)
    return adata


def _retrieved(adata: AnnData, **options: Any) -> Any:
    return hs.tl.retrieve(adata, adata, _fused(adata.copy()), **options)


def _automatic(_: Any) -> tuple[Any, list[str]]:
    said: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    log = logging.getLogger("histoscribe")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        return hs.nn.load_encoder(network("resnet10t")), said
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


def _on_the_cpu(_: Any, found: tuple[Any, list[str]]) -> None:
    encoder, said = found
    assert encoder.device == torch.device("cpu")
    assert any("device cpu" in one for one in said)
    assert np.isfinite(n.vectors(encoder)).all()


def _precisions(_: Any) -> dict[str, AnnData]:
    module = network("resnet10t")
    return {p: n.encoded(n.section(), module, precision=p) for p in ("32", "bf16")}


def _precision_is_recorded(_: Any, found: dict[str, AnnData]) -> None:
    full, half = (found[p].obsm["X_image"] for p in ("32", "bf16"))
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, rtol=0.1, atol=0.05 * np.abs(full).max())
    for precision, adata in found.items():
        assert f"'precision': '{precision}'" in str(dict(adata.uns))


def _dropping() -> Any:
    """An encoder that someone set to training: dropout on, and batch statistics."""
    module = nn.Sequential(nn.BatchNorm2d(3), nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(48, 6))
    encoder = hs.nn.load_encoder(module, size=32)
    clean = encoder(tiles_of(2, 32))
    encoder.module.train()
    return encoder, clean


def _as_evaluated(given: Any, found: Any) -> None:
    np.testing.assert_array_equal(found, given[1])


def _training() -> Any:
    adata = prepared()
    train = TrainConfig(epochs=1, accelerator="cpu")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "60 spots are too few")
        model = hs.tl.fuse(adata, Contrastive(dim=4, hidden=8, dropout=0.9), train=train)
    clean = adata.obsm["X_fused_image"].copy()
    model.module.train()
    return adata, clean, model


def _embedded_again(given: Any) -> Any:
    adata, _, model = given
    hs.tl.embed(adata, model)
    return adata.obsm["X_fused_image"]


def _retrieved_again(given: Any) -> Any:
    adata, _, model = given
    return hs.tl.retrieve(adata, adata, model, k=1)["cosine"].to_numpy()


def _nearest_of_evaluated(given: Any, found: Any) -> None:
    adata, clean, _ = given
    np.testing.assert_allclose(found, (clean @ adata.obsm["X_fused_genes"].T).max(axis=1), atol=2e-6)


def _genes(adata: AnnData, **options: Any) -> Any:
    train = TrainConfig(**{**SHORT, "accelerator": "auto"})
    return hs.tl.pretrain_genes(adata, hs.nn.GeneEncoder(**SMALL), train=train, **options)


def _dropping_genes() -> Any:
    """A gene encoder that someone set to training, with dropout."""
    adata, config = plain(), hs.nn.GeneEncoder(**{**SMALL, "dropout": 0.5})
    model = hs.tl.pretrain_genes(adata, config, train=TrainConfig(**SHORT))
    hs.tl.encode_genes(adata, model)
    clean = adata.obsm["X_genes"].copy()
    model.module.train()
    return adata, clean, model


def _encoded_again(given: Any) -> Any:
    adata, _, model = given
    hs.tl.encode_genes(adata, model)
    return adata.obsm["X_genes"]


def _at_precisions(adata: AnnData) -> dict[str, AnnData]:
    found = {}
    for precision in ("32", "bf16"):
        with patch.object(hs.settings, "precision", precision):
            found[precision] = hs.tl.encode_genes(adata, token_model(), copy=True)
    return found


def _genes_at_precisions(_: Any, found: dict[str, AnnData]) -> None:
    full, half = (found[p].obsm["X_genes"] for p in ("32", "bf16"))
    assert not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, rtol=0.1, atol=0.05 * np.abs(full).max())
    for precision, adata in found.items():
        assert adata.uns["histoscribe"]["obsm.X_genes"]["params"]["precision"] == precision


ROWS: list[Row | Elsewhere] = [
    Row(
        "M20",
        "a device with room for fewer tiles than a batch",
        lambda: 3,
        {"tl.encode_image": _encoded},
        Defined("batches are halved until they fit; all spots get vectors", _as_with_room),
    ),
    Row(
        "M20",
        "a device without room for one tile",
        lambda: 0,
        {"tl.encode_image": _encoded, "nn.load_encoder": lambda room: hs.nn.load_encoder(_Means(room), size=32).dim},
        Raises(OptionError, "device", "Free memory, pass device='cpu'", "no memory for one tile of 32 px"),
    ),
    Row(
        "M21",
        "a learning rate at which the loss overflows",
        prepared,
        {"tl.fuse": lambda adata: _fused(adata, TrainConfig(epochs=3, lr=1e30, clip=None, accelerator="cpu"))},
        Raises(TrainingError, "loss of step|weight", "Lower lr, or set clip; .*last good epoch", "NaN or infinity"),
    ),
    Elsewhere(
        "M21",
        "a loss that is no number at a known step",
        "stops there and names step, epoch and batch",
        ("tests/nn/test_fit.py::test_nan_loss_stops_and_names_the_step",),
        raised=True,
    ),
    Row(
        "M22",
        "cuda on a machine without",
        prepared,
        {
            "nn.load_encoder": _without_gpu(lambda _: hs.nn.load_encoder(network("resnet10t"), device="cuda")),
            "nn.load_encoder (settings)": _without_gpu(_by_settings),
            "tl.encode_image": _without_gpu(lambda adata: n.encoded(adata, network("resnet10t"), device="cuda:0")),
            "tl.fuse": _without_gpu(lambda adata: _fused(adata, device="cuda")),
            "tl.pretrain_genes": _without_gpu(lambda adata: _genes(adata, device="cuda")),
            "tl.retrieve": _without_gpu(lambda adata: _retrieved(adata, device="cuda")),
            "tl.encode_genes": _without_gpu(lambda adata: hs.tl.encode_genes(adata, token_model(), device="cuda")),
            "tl.fuse (accelerator)": _without_gpu(
                lambda adata: _fused(adata, TrainConfig(epochs=1, accelerator="cuda"))
            ),
        },
        Raises(OptionError, "device", "Pass device='cpu'", "no usable cuda device"),
    ),
    Row(
        "M22",
        "a machine without a GPU, and no word of where to run",
        lambda: None,
        {"nn.load_encoder": _without_gpu(_automatic)},
        Defined("runs on the CPU and says so in the log", _on_the_cpu),
    ),
    Row(
        "M24",
        "half precision",
        lambda: None,
        {"tl.encode_image": _precisions},
        Defined("the precision stands beside the vectors", _precision_is_recorded),
    ),
    Row(
        "M24",
        "half precision",
        plain,
        {"tl.encode_genes": _at_precisions},
        Defined("the precision stands beside the vectors", _genes_at_precisions),
    ),
    Row(
        "M25",
        "an encoder that was left in training mode",
        _dropping,
        {"nn.load_encoder": lambda given: given[0](tiles_of(2, 32))},
        Defined("encodes as in evaluation", _as_evaluated),
    ),
    Row(
        "M25",
        "a model that was left in training mode",
        _training,
        {"tl.embed": _embedded_again},
        Defined("embeds as in evaluation", _as_evaluated),
    ),
    Row(
        "M25",
        "a model that was left in training mode",
        _training,
        {"tl.retrieve": _retrieved_again},
        Defined("finds as in evaluation", _nearest_of_evaluated),
    ),
    Row(
        "M25",
        "a gene encoder that was left in training mode",
        _dropping_genes,
        {"tl.encode_genes": _encoded_again},
        Defined("encodes as in evaluation", _as_evaluated),
    ),
]
