"""Two processes that share each batch train as one process that has all of it."""

from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch.multiprocessing.spawn import ProcessRaisedException

from histoscribe.nn import TrainConfig
from histoscribe.nn._data import Batch, per_item
from histoscribe.nn._fit import fit
from histoscribe.nn.genes._token_transformer import TokenTransformer

from .neighbourhoods import encoder, rows

pytestmark = pytest.mark.usefixtures("deadline")


class _WeighsProcessesAlike(TokenTransformer):
    """Divides by the items of its own process."""

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        own = "histoscribe.nn.genes._token_transformer.per_item"
        with patch(own, lambda total, n: total / max(int(n), 1)):
            return super().loss(batch)


class _BreaksOnOne(TokenTransformer):
    """Its loss is no number on one process, from the second epoch on."""

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        losses = super().loss(batch)
        bad = self.training and int(batch["seed"][1]) == 1 and torch.distributed.get_rank() == 1
        return {**losses, "loss": losses["loss"] * float("nan")} if bad else losses


def _trained(
    processes: int, *, kind: type = TokenTransformer, alone: int = 0, batch: int = 16, **options: Any
) -> tuple[Any, list[dict[str, float]]]:
    module = encoder(**options)
    module.__class__ = kind
    strategy = "auto" if processes == 1 else "ddp_spawn"
    shared: dict[str, Any] = {"epochs": 5, "lr": 1e-2, "patience": None, "accelerator": "cpu", "random_state": 3}
    config = TrainConfig(batch_size=batch // processes, devices=processes, strategy=strategy, **shared)
    return module, fit(module, rows(alone=alone), config, val=rows(40, seed=1, alone=alone))


def _largest_difference(a: list[dict[str, float]], b: list[dict[str, float]]) -> float:
    assert [list(row) for row in a] == [list(row) for row in b]
    return max(abs(x[name] - y[name]) for x, y in zip(a, b, strict=True) for name in x)


@pytest.mark.weekly
@pytest.mark.parametrize("context", ["cgr", "set", None])
def test_two_processes_have_the_losses_of_one(context: str | None) -> None:
    # Spots alone: a process may have no group with neighbours, and in a batch of one group none at all.
    options: dict[str, Any] = {"context": context, "alone": 30, "batch": 8, "mask_fraction": 0.05}
    (one, whole), (two, shared) = (_trained(n, **options) for n in (1, 2))
    assert whole[-1]["train_igr"] < whole[0]["train_igr"]
    assert _largest_difference(whole, shared) < 1e-4
    tokens = torch.from_numpy(rows().corpus.tokens(np.arange(80)))
    torch.testing.assert_close(two.embed(tokens), one.embed(tokens), atol=1e-3, rtol=0)


@pytest.mark.weekly
def test_a_loss_that_weighs_processes_alike_would_be_seen() -> None:
    options: dict[str, Any] = {"kind": _WeighsProcessesAlike, "context": "cgr", "alone": 30, "batch": 8}
    (_, whole), (_, shared) = (_trained(n, **options) for n in (1, 2))
    assert _largest_difference(whole, shared) > 1e-3


@pytest.mark.weekly
def test_loss_that_is_no_number_on_one_process_stops_both() -> None:
    with pytest.raises(ProcessRaisedException, match=r"the loss of step 5 \(epoch 1, batch 0\)"):
        _trained(2, kind=_BreaksOnOne)


def test_items_are_counted_over_the_processes_that_there_are() -> None:
    assert float(per_item(torch.tensor(6.0), 4)) == 1.5
    assert float(per_item(torch.tensor(0.0), torch.tensor(0))) == 0
    x = torch.ones(3, requires_grad=True)
    per_item(x.sum(), 3).backward()
    assert x.grad is not None
    assert x.grad.tolist() == pytest.approx([1 / 3] * 3)


@pytest.mark.weekly
def test_log_is_written_once(tmp_path: Path) -> None:
    module = encoder(context=None)
    config = TrainConfig(
        epochs=2, batch_size=8, devices=2, strategy="ddp_spawn", accelerator="cpu", checkpoint_dir=tmp_path
    )
    fit(module, rows(), config)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3
