"""Spots of all processes are negatives of each other: two processes learn what one does that has the whole batch."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import torch

from histoscribe.nn import Contrastive, GeneEncoder, TrainConfig
from histoscribe.nn._fit import fit
from histoscribe.nn._seed import seeded

from .conftest import planted

_GENES = {
    "options": asdict(GeneEncoder.tiny(dim=16, n_tokens=8)),
    "sizes": {"tokens": 60},
    "vocabulary": "",
    "rank": "mean",
}


def _trained(processes: int, *, from_tokens: bool = False, **options: Any) -> tuple[Any, list[dict[str, float]]]:
    train, val = planted(96)[0], planted(32, seed=1)[0]
    rng = np.random.default_rng(0)
    for batch in (train, val):  # tiles of 100 um that partly overlap, of two sections
        n = len(batch["section"])
        batch["boxes"] = torch.tensor(np.hstack([rng.uniform(0, 600, (n, 2)), np.full((n, 2), 100.0)])).float()
        batch["section"] = torch.from_numpy(rng.integers(0, 2, n))
        batch["region"], batch["region_valid"] = batch["image"] + 1, batch["image_valid"]
        batch["region_boxes"] = batch["boxes"]
    config, sizes = Contrastive(dropout=0.0, dim=16, hidden=32, **options), {"image": 20, "region": 20, "genes": 15}
    if from_tokens:
        for batch in (train, val):
            batch["tokens"] = 30 + batch["genes"].argsort(dim=1, descending=True)[:, :8]
        sizes["genes"] = 16
    with seeded(0):
        module = config.build(sizes, gene_encoder=_GENES if from_tokens else None)
    if from_tokens:
        with torch.no_grad():
            train["genes"] = module.gene_encoder(train)
    module.start(train)
    if from_tokens:
        del train["genes"], val["genes"]
    shared: dict[str, Any] = {"epochs": 4, "patience": None, "accelerator": "cpu"}
    strategy = "auto" if processes == 1 else "ddp_spawn"
    how = TrainConfig(batch_size=32 // processes, devices=processes, strategy=strategy, **shared)
    return module, fit(module, train, how, val=val)


def _difference(a: list[dict[str, float]], b: list[dict[str, float]]) -> float:
    losses = [name for name in a[0] if name.startswith(("train_", "val_"))]
    assert len(losses) == 8
    return max(abs(x[name] - y[name]) for x, y in zip(a, b, strict=True) for name in losses)


@pytest.mark.weekly
@pytest.mark.parametrize("from_tokens", [False, True])
def test_two_processes_have_the_losses_of_one(from_tokens: bool) -> None:
    (one, whole), (two, shared) = (_trained(n, from_tokens=from_tokens, trunk_rate=1.0) for n in (1, 2))
    assert whole[-1]["train_loss"] < whole[0]["train_loss"]
    assert _difference(whole, shared) < 1e-4
    for name, value in one.state_dict().items():
        torch.testing.assert_close(two.state_dict()[name], value, atol=1e-4, rtol=1e-4)


@pytest.mark.weekly
def test_without_gathering_each_process_knows_its_own_spots_alone() -> None:
    (_, whole), (_, shared) = (_trained(n, gather_negatives=False) for n in (1, 2))
    assert whole[0]["train_loss"] - shared[0]["train_loss"] > 0.5  # half the negatives
