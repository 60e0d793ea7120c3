"""Spots of all processes are negatives of each other: two processes learn what one does that has the whole batch."""

from typing import Any

import numpy as np
import pytest
import torch

from histoscribe.nn import Contrastive, TrainConfig
from histoscribe.nn._fit import fit
from histoscribe.nn._seed import seeded

from .conftest import planted

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _trained(processes: int, **options: Any) -> tuple[Any, list[dict[str, float]]]:
    train, val = planted(96)[0], planted(32, seed=1)[0]
    rng = np.random.default_rng(0)
    for batch in (train, val):  # tiles of 100 um that partly overlap, of two sections
        n = len(batch["section"])
        batch["boxes"] = torch.tensor(np.hstack([rng.uniform(0, 600, (n, 2)), np.full((n, 2), 100.0)])).float()
        batch["section"] = torch.from_numpy(rng.integers(0, 2, n))
        batch["region"], batch["region_valid"] = batch["image"] + 1, batch["image_valid"]
        batch["region_boxes"] = batch["boxes"]
    with seeded(0):
        module = Contrastive(dropout=0.0, dim=16, hidden=32, **options).build({"image": 20, "region": 20, "genes": 15})
    module.start(train)
    shared: dict[str, Any] = {"epochs": 4, "patience": None, "accelerator": "cpu"}
    strategy = "auto" if processes == 1 else "ddp_fork"
    config = TrainConfig(batch_size=32 // processes, devices=processes, strategy=strategy, **shared)
    return module, fit(module, train, config, val=val)


def _difference(a: list[dict[str, float]], b: list[dict[str, float]]) -> float:
    losses = [name for name in a[0] if name.startswith(("train_", "val_"))]
    assert len(losses) == 8
    return max(abs(x[name] - y[name]) for x, y in zip(a, b, strict=True) for name in losses)


def test_two_processes_have_the_losses_of_one() -> None:
    (one, whole), (two, shared) = _trained(1), _trained(2)
    assert whole[-1]["train_loss"] < whole[0]["train_loss"]
    assert _difference(whole, shared) < 1e-4
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, atol=1e-4, rtol=1e-4)


def test_without_gathering_each_process_knows_its_own_spots_alone() -> None:
    (_, whole), (_, shared) = (_trained(n, gather_negatives=False) for n in (1, 2))
    assert whole[0]["train_loss"] - shared[0]["train_loss"] > 0.5  # half the negatives
