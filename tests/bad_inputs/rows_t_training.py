"""Rows of the catalogue: training of fusion models."""

import multiprocessing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import OptionError
from histoscribe.nn import Contrastive, TrainConfig
from histoscribe.nn.fusion._contrastive_module import ContrastiveModule

from ..digest import digest
from ..tl.conftest import section
from .row import Defined, Elsewhere, Raises, Row
from .sections import plain, prepared

KEYS = ("X_fused", "X_fused_image", "X_fused_genes")


def config(**options: Any) -> TrainConfig:
    """Two epochs on the CPU."""
    return TrainConfig(**{"epochs": 2, "accelerator": "cpu", **options})


def fused(adata: AnnData, **options: Any) -> list[Any]:
    """Train, and take what was written."""
    hs.tl.fuse(adata, Contrastive(dim=8, hidden=16), train=config(**options))
    return [adata.obsm[key] for key in KEYS]


def _equal(_: Any, returned: Any) -> None:
    for got, expected in zip(*returned, strict=True):
        np.testing.assert_array_equal(got, expected)


class _Spy(Contrastive):
    """Calls something with each batch that trains."""

    def __init__(self, seen: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(dim=8, hidden=16)
        object.__setattr__(self, "seen", seen)

    def build(self, sizes: Mapping[str, int], *, trunk: Any = None, gene_encoder: Any = None) -> ContrastiveModule:
        """Make a module that reports."""
        seen = self.seen  # type: ignore[attr-defined]

        class Reporting(ContrastiveModule):
            def loss(self, batch: Any) -> Any:
                if self.training:
                    seen(batch)
                return super().loss(batch)

        return Reporting(self, sizes)


# T1, T13, T14: sizes


def _sized(adata: AnnData) -> tuple[list[Any], list[Any]]:
    other = adata.copy()
    return fused(adata, batch_size=4096), fused(other, batch_size=adata.n_obs)


def _few(n: int) -> Callable[[], AnnData]:
    return lambda: prepared()[:n].copy()


def _history(adata: AnnData, **options: Any) -> Any:
    return hs.tl.fuse(adata, Contrastive(dim=8, hidden=16), train=config(**options))


def _all_train(adata: AnnData, model: Any) -> None:
    assert (model.meta["n_train"], model.meta["n_val"]) == (adata.n_obs, 0)
    assert [row["epoch"] for row in model.history] == [0, 1, 2]
    assert all("val_loss" not in row for row in model.history)


def _batches(adata: AnnData) -> list[int]:
    sizes: list[int] = []
    train = config(epochs=1, batch_size=29, val_fraction=0)
    hs.tl.fuse(adata, _Spy(lambda batch: sizes.append(len(batch["image"]))), train=train)
    return sizes


def _even(_: Any, sizes: list[int]) -> None:
    assert sorted(sizes) == [19, 20, 20]


# T6: leakage


@cache
def _pairs(link: bool) -> float:
    """Recall at 10 of an image's own genes in a section that was not trained on."""
    train, new = section(), section(100, seed=1)
    if not link:
        train.obsm["X_image"] = np.random.default_rng(0).permutation(train.obsm["X_image"])
    model = hs.tl.fuse(train, Contrastive(), train=config(epochs=10))
    hs.tl.embed(new, model)
    return hs.metrics.recall_at_k(new.obsm["X_fused_image"], new.obsm["X_fused_genes"], 10)


def _chance(_: Any, returned: tuple[float, float]) -> None:
    linked, shuffled = returned
    error = np.sqrt(0.1 * 0.9 / 100)
    assert linked > 0.1 + 6 * error
    assert abs(shuffled - 0.1) < 3 * error


# T8, T10: workers


def _workers(adata: AnnData) -> tuple[list[Any], list[Any]]:
    other = adata.copy()
    return fused(adata), fused(other, num_workers=2)


def _open_handles(adata: AnnData) -> tuple[list[Any], list[Any]]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "section.h5ad"
        adata.copy().write_h5ad(path)
        with hs.io.open_image(adata) as image:
            before = image.read(0, 0, 64, 64)
            ours, theirs = _workers(adata)
            return [*ours, image.read(0, 0, 64, 64)], [*theirs, before]


# T12: an interrupt


def _interrupted(adata: AnnData) -> tuple[str, str, list[str], list[Any]]:
    steps: list[int] = []

    def stop(batch: Any) -> None:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt

    before = digest(adata)
    with TemporaryDirectory() as folder:
        train = config(epochs=5, num_workers=1, val_fraction=0, checkpoint_dir=folder)
        with pytest.raises(KeyboardInterrupt):
            hs.tl.fuse(adata, _Spy(stop), train=train)
        left = sorted(path.name for path in Path(folder).iterdir())
    return before, digest(adata), left, multiprocessing.active_children()


def _as_it_was(_: Any, returned: tuple[str, str, list[str], list[Any]]) -> None:
    before, after, left, children = returned
    assert after == before
    assert left == ["last.ckpt", "metrics.csv"]
    assert children == []


ROWS: list[Row | Elsewhere] = [
    Row(
        "T1",
        "fewer spots than one batch",
        prepared,
        {"tl.fuse": _sized},
        Defined("one batch of them all: what batch_size=n gives, to the last bit", _equal),
    ),
    Row(
        "T1",
        "fewer than eight spots",
        _few(7),
        {"tl.fuse": fused},
        Raises(OptionError, "adatas", "Check obs", "7 spots"),
    ),
    Row(
        "T1",
        "more components than spots",
        lambda: plain()[:20].copy(),
        {"tl.fit_pca": lambda adata: hs.tl.fit_pca(adata, n_comps=50)},
        Raises(OptionError, "n_comps", "n_comps=19 or fewer", "50"),
    ),
    Row(
        "T6",
        "images shuffled against genes before training",
        lambda: None,
        {"tl.fuse": lambda _: (_pairs(link=True), _pairs(link=False))},
        Defined("retrieval in a new section falls to chance, within three standard errors", _chance),
    ),
    Elsewhere(
        "T7",
        "training killed at some step, then resumed",
        "the same weights, bit for bit, as a run that was not killed",
        ("tests/nn/test_fit.py::test_killed_and_resumed_run_ends_with_the_same_bits",),
        raised=False,
    ),
    Row("T8", "another number of workers", prepared, {"tl.fuse": _workers}, Defined("the same bits", _equal)),
    Elsewhere(
        "T8",
        "another number of workers",
        "the same rows in the same order",
        ("tests/nn/test_fit.py::test_workers_change_neither_order_nor_weights",),
        raised=False,
    ),
    Elsewhere(
        "T9",
        "data that draw from numpy's global state in workers",
        "no draw is repeated over workers, batches or epochs",
        ("tests/nn/test_workers.py::test_draws_in_workers_are_never_repeated",),
        raised=False,
    ),
    Row(
        "T10",
        "an image and a file that are open while workers are made",
        prepared,
        {"tl.fuse": _open_handles},
        Defined("the same bits as without workers, and the image reads as before", _equal),
    ),
    Elsewhere(
        "T11",
        "workers that are spawned, as on macOS and Windows",
        "the same weights as without workers",
        ("tests/nn/test_workers.py::test_spawned_workers_train_the_same",),
        raised=False,
    ),
    Row(
        "T12",
        "an interrupt in the middle of training",
        prepared,
        {"tl.fuse": _interrupted},
        Defined("the section as it was, the last checkpoint kept, no process left", _as_it_was),
    ),
    Row(
        "T13",
        "no validation spots asked for",
        prepared,
        {"tl.fuse": lambda adata: _history(adata, val_fraction=0, epochs=3)},
        Defined("all spots train, for all epochs", _all_train),
    ),
    Row(
        "T13",
        "too few spots to hold some out",
        _few(30),
        {"tl.fuse": lambda adata: _history(adata, epochs=3)},
        Defined("all spots train, for all epochs, and it says so", _all_train, warns="30 spots are too few"),
    ),
    Row(
        "T14",
        "a last batch of one spot (59 in batches of 29)",
        _few(59),
        {"tl.fuse": _batches},
        Defined("batches of even size", _even),
    ),
]
