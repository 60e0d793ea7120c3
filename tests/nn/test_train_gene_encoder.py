"""Training of the gene encoder: logs, precision, stopping, faults."""

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from histoscribe._errors import FileError, OptionError, TrainingError
from histoscribe._record import plain
from histoscribe.nn import TrainConfig
from histoscribe.nn._data import Batch
from histoscribe.nn._fit import fit
from histoscribe.nn.genes._token_transformer import TokenTransformer

from ..marks import weekly
from .neighbourhoods import encoder, rows, weights

N_BATCHES = 10  # of rows(160) in batches of 16


def _config(**options: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 4, "batch_size": 16, "lr": 1e-2, "patience": None, "accelerator": "cpu", **options})


def _trained(**options: Any) -> tuple[TokenTransformer, list[dict[str, float]]]:
    module = encoder(dropout=0.1)
    return module, fit(module, rows(160), _config(**options), val=rows(40, seed=1))


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Do something to the loss of a step, once."""
    real = TokenTransformer.loss
    plan: dict[str, Any] = {"step": -1, "do": None, "seen": 0}

    def loss(self: TokenTransformer, batch: Batch) -> dict[str, Tensor]:
        losses = real(self, batch)
        if not self.training:
            return losses
        plan["seen"] += 1
        return plan["do"](losses) if plan["seen"] == plan["step"] + 1 else losses

    monkeypatch.setattr(TokenTransformer, "loss", loss)
    return plan


def _killed(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    raise RuntimeError("killed")


def _to_nan(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**losses, "loss": losses["loss"] * float("nan")}


def _read(path: Path) -> list[dict[str, float]]:
    with path.open(newline="") as file:
        return [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]


@pytest.mark.parametrize(("epoch", "batch", "workers"), [(1, 7, 0), *weekly((3, 0, 0), (2, 5, 1))])
def test_killed_within_an_epoch_and_resumed_has_the_same_bits_and_each_row_of_the_log_once(
    tmp_path: Path, broken: dict[str, Any], epoch: int, batch: int, workers: int
) -> None:
    whole, history = _trained()
    broken.update(step=N_BATCHES * epoch + batch, do=_killed, seen=0)
    options: dict[str, Any] = {"checkpoint_dir": tmp_path, "resume": True, "num_workers": workers}
    with pytest.raises(RuntimeError, match="killed"):
        _trained(**options)
    assert len(_read(tmp_path / "metrics.csv")) == epoch
    broken.update(step=-1)
    resumed, continued = _trained(**options)
    assert broken["seen"] == N_BATCHES * 4 + batch + 1
    assert torch.equal(weights(whole), weights(resumed))
    assert continued == history
    assert _read(tmp_path / "metrics.csv") == history
    assert "train_context" not in history[1]
    assert "train_context" in history[2]


def test_loss_that_is_no_number_stops_and_the_last_good_epoch_can_be_gone_on_from(
    tmp_path: Path, broken: dict[str, Any]
) -> None:
    whole, _ = _trained()
    broken.update(step=2 * N_BATCHES + 3, do=_to_nan, seen=0)
    with pytest.raises(
        TrainingError, match=r"the loss of step 23 \(epoch 2, batch 3\).*last good epoch is in last\.ckpt"
    ):
        _trained(checkpoint_dir=tmp_path)
    resumed, _ = _trained(checkpoint_dir=tmp_path, resume=True)
    assert torch.equal(weights(whole), weights(resumed))


@pytest.mark.weekly
def test_bf16_follows_32() -> None:
    (_, exact), (half, rough) = (_trained(precision=precision, epochs=8) for precision in ("32", "bf16"))
    losses = [name for name in exact[-1] if "loss" in name or "igr" in name or "context" in name]
    a, b = (np.array([[row[name] for name in losses] for row in found[3:]]) for found in (exact, rough))
    assert exact[-1]["train_igr"] < exact[0]["train_igr"] - 0.1
    np.testing.assert_allclose(b, a, rtol=0.01)
    assert not np.array_equal(a, b)
    assert {value.dtype for value in half.state_dict().values()} == {torch.float32}


@pytest.mark.weekly
def test_patience_stops_and_keeps_the_weights_of_the_lowest_validation_loss() -> None:
    module, history = _trained(epochs=60, lr=3e-2, patience=3)
    losses = [row["val_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 3 < 60
    val = rows(40, seed=1)
    batches = [val[asked] for asked in val.batches(16, 0, None)]
    with torch.no_grad():
        found = np.average(
            [float(module.loss(b)["loss"]) for b in batches], weights=[module.n_rows(b) for b in batches]
        )
    assert found == pytest.approx(losses[best], rel=1e-5)


def test_the_learning_rate_rises_and_falls_by_steps() -> None:
    logged = Remembers()
    _trained(logger=logged, lr=0.5, warmup=0.25, clip=1e-9, epochs=20)
    rates = {step: row["step_lr"] for step, row in logged.rows if "step_lr" in row}
    assert list(rates) == [49, 99, 149, 199]  # every fifty steps
    rise, total = 50, 200
    for step, rate in rates.items():
        # at the start of the step; the rise has ended at step 50
        expected = (step + 1) / (rise + 1) if step < rise else (1 + np.cos(np.pi * (step - rise) / (total - rise))) / 2
        assert rate == pytest.approx(0.5 * expected)


class Remembers:
    """A logger as Lightning knows them."""

    name, version, save_dir, log_dir, root_dir = "remembers", "0", None, None, None

    def __init__(self) -> None:
        self.rows: list[tuple[int, dict[str, float]]] = []
        self.open = open(__file__)  # noqa: SIM115 (what can be neither copied nor written down)

    def log_metrics(self, metrics: dict[str, float], step: int) -> None:
        self.rows.append((step, {**metrics}))

    def finalize(self, status: str) -> None:
        self.open.close()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: None


def test_any_logger_gets_the_losses_of_epochs_and_of_steps(tmp_path: Path) -> None:
    first, second = Remembers(), Remembers()
    module, history = _trained(logger=[first, second], epochs=10, checkpoint_dir=tmp_path)
    assert first.rows == second.rows
    assert first.open.closed
    epochs = [row for _, row in first.rows if "val_loss" in row]
    assert [row["val_loss"] for row in epochs] == [row["val_loss"] for row in history]
    merged = pd.DataFrame([row for _, row in first.rows]).groupby("epoch").first()
    np.testing.assert_allclose(merged["train_igr"], [row["train_igr"] for row in history], rtol=1e-6)
    assert [step for step, row in first.rows if "step_loss" in row] == [49, 99]
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.equal(weights(module), weights(_trained(epochs=10)[0]))


def test_loggers_of_lightning_are_taken(tmp_path: Path) -> None:
    from lightning.pytorch.loggers import CSVLogger

    history = _trained(logger=CSVLogger(tmp_path, name="run", version="1"))[1]
    frame = pd.read_csv(tmp_path / "run" / "1" / "metrics.csv")
    np.testing.assert_allclose(frame["val_loss"].dropna(), [row["val_loss"] for row in history], rtol=1e-6)


def test_the_bar_tells_the_losses_of_the_last_epoch_and_the_step_of_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[dict[str, str]] = []

    class Bar:
        n = 0

        def __init__(self, **options: Any) -> None:
            said.append({name: str(value) for name, value in options.items()})

        def set_postfix(self, shown: dict[str, str], refresh: bool = True) -> None:
            said.append(dict(shown))

        def update(self, n: int = 1) -> None:
            Bar.n += n

        def close(self) -> None:
            said.append({"closed": str(Bar.n)})

    monkeypatch.setattr("histoscribe.nn._callbacks.progress", Bar)
    monkeypatch.setattr("histoscribe.nn._callbacks._REFRESH_S", -1.0)
    history = _trained(epochs=2)[1]
    first, second = ({part: f"{row[part]:.3f}" for part in ("train_loss", "val_loss")} for row in history)
    steps = [{"step": f"{k}/{N_BATCHES}"} for k in range(1, N_BATCHES + 1)]
    total = {"desc": "training", "total": "2", "unit": "epoch"}
    assert said == [total, *steps, first, *({**first, **step} for step in steps), second, {"closed": "2"}]


def test_no_log_where_none_is_wanted(tmp_path: Path) -> None:
    _trained(checkpoint_dir=tmp_path, logger=False, epochs=1)
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_logger_is_no_part_of_what_a_run_or_a_record_is(tmp_path: Path) -> None:
    logged = Remembers()
    config = _config(checkpoint_dir=tmp_path, logger=logged)
    said = plain(config)
    assert said == plain(replace(config, logger=None, checkpoint_dir=None))
    assert "lr" in said
    assert "logger" not in said
    assert hash(config) == hash(replace(config, logger=[logged]))
    fit(encoder(), rows(160), config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenTransformer, "loss", None)  # nothing is left to train
        fit(encoder(), rows(160), replace(config, logger=None, resume=True))
    assert len(_read(tmp_path / "metrics.csv")) == 4  # though there was none


@pytest.mark.parametrize("value", ["csv", True, [], 3, [None]])
def test_what_is_no_logger_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match=r"TrainConfig\.logger: .*lightning\.pytorch\.loggers"):
        _config(logger=value)


@pytest.mark.parametrize(
    ("module", "data", "says"),
    [
        ({"context": "set"}, {}, "another model (context 'cgr' for 'set')"),
        ({"mask_fraction": 0.3}, {}, "another model (mask_fraction 0.15 for 0.3)"),
        ({"dim": 8}, {}, "another module, model (ranks [12, 16] for [12, 8]"),
        ({}, {"seed": 5}, "another data"),
    ],
)
def test_resuming_another_run_names_the_difference(
    tmp_path: Path, module: dict[str, Any], data: dict[str, Any], says: str
) -> None:
    fit(encoder(), rows(40), _config(epochs=1, checkpoint_dir=tmp_path))
    with pytest.raises(FileError, match=re.escape(says)):
        fit(encoder(**module), rows(40, **data), _config(epochs=1, checkpoint_dir=tmp_path, resume=True))
