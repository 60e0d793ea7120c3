import os
import random
import signal
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from histoscribe import settings
from histoscribe._errors import FileError, TrainingError
from histoscribe.nn import TrainConfig
from histoscribe.nn._data import Batch, Batches, Rows
from histoscribe.nn._fit import fit
from histoscribe.nn._seed import seeded


class Net(nn.Module):
    """A small regression with dropout; can fail at a step, or say NaN."""

    def __init__(self, fail_at: int | None = None, error: BaseException | None = None) -> None:
        super().__init__()
        with seeded(1):
            self.first = nn.Linear(6, 16)
            self.body = nn.Sequential(self.first, nn.GELU(), nn.Dropout(0.3), nn.Linear(16, 1))
        self.fail_at, self.error, self.steps = fail_at, error, 0
        self.seen: list[Tensor] = []

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        mse = (self.body(batch["x"]).squeeze(-1) - batch["y"]).square().mean()
        if self.training:
            self.seen.append(batch["y"])
            self.steps += 1
            if self.steps - 1 == self.fail_at:
                if self.error is not None:
                    raise self.error
                mse = mse * float("nan")
        return {"loss": mse, "mse": mse.detach()}


def _data(n: int = 70, seed: int = 0) -> Batch:
    x = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 6))).float()
    return {"x": x, "y": x[:, 0] * 2 + x[:, 1]}


def _config(**options: Any) -> TrainConfig:
    return TrainConfig(**{"epochs": 6, "batch_size": 16, "patience": None, "accelerator": "cpu", **options})


def _same(a: nn.Module, b: nn.Module) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))


def test_it_learns_and_tells_the_history() -> None:
    net = Net()
    history = fit(net, _data(400), _config(epochs=12, lr=3e-2), val=_data(100, seed=1))
    assert [row["epoch"] for row in history] == list(range(12))
    assert set(history[0]) == {"epoch", "train_loss", "train_mse", "val_loss", "val_mse", "lr"}
    assert history[-1]["val_loss"] < 0.1 * history[0]["val_loss"]
    assert not net.training


def test_no_epochs_leave_it_as_it_starts() -> None:
    net = Net()
    assert fit(net, _data(), _config(epochs=0), val=_data(20, seed=1)) == []
    assert _same(net, Net())
    assert not net.training
    assert net.steps == 0


@pytest.mark.parametrize(("epochs_done", "with_val", "workers"), [(1, False, 0), (4, True, 0), (2, True, 1)])
def test_killed_and_resumed_run_ends_with_the_same_bits(
    tmp_path: Path, epochs_done: int, with_val: bool, workers: int
) -> None:
    val = _data(30, seed=1) if with_val else None
    whole, killed, resumed = Net(), Net(fail_at=5 * epochs_done + 2, error=RuntimeError("killed")), Net()
    history = fit(whole, _data(), _config(), val=val)
    config = _config(checkpoint_dir=tmp_path / "run", resume=True, num_workers=workers)
    with pytest.raises(RuntimeError, match="killed"):
        fit(killed, _data(), config, val=val)
    random.seed(123)
    torch.manual_seed(123)  # the state of the new process is not the old one's
    continued = fit(resumed, _data(), config, val=val)
    assert resumed.steps == 5 * (6 - epochs_done)
    assert _same(whole, resumed)
    assert continued == history
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == ["last.ckpt", "metrics.csv"]


def test_resuming_a_finished_run_changes_nothing(tmp_path: Path) -> None:
    config = _config(checkpoint_dir=tmp_path, resume=True)
    first, second = Net(), Net()
    history = fit(first, _data(), config, val=_data(20, 1))
    assert fit(second, _data(), config, val=_data(20, 1)) == history
    assert second.steps == 0
    assert _same(first, second)


@pytest.mark.parametrize(("options", "data", "says"), [({"lr": 1e-2}, _data(), "lr"), ({}, _data(70, seed=3), "data")])
def test_checkpoint_of_another_run_is_refused(tmp_path: Path, options: Any, data: Batch, says: str) -> None:
    fit(Net(), _data(), _config(checkpoint_dir=tmp_path))
    with pytest.raises(FileError, match=f"a run with another {says}"):
        fit(Net(), data, _config(checkpoint_dir=tmp_path, resume=True, **options))


@pytest.mark.weekly
@pytest.mark.usefixtures("deadline")
def test_two_processes_train_one_model_and_hand_back_all_of_it(tmp_path: Path) -> None:
    net, val = Net(), _data(100, seed=1)
    config = _config(epochs=12, lr=3e-2, devices=2, strategy="ddp_spawn", checkpoint_dir=tmp_path)
    history = fit(net, _data(400), config, val=val)
    losses = [row["val_loss"] for row in history]
    assert len(losses) == 12
    assert losses[-1] < 0.1 * losses[0]
    with torch.no_grad():
        assert float(net.loss(val)["loss"]) == pytest.approx(min(losses), rel=1e-3)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["last.ckpt", "metrics.csv"]


def test_checkpoint_of_another_module_is_refused(tmp_path: Path) -> None:
    fit(Net(), _data(), _config(checkpoint_dir=tmp_path))
    other = Net()
    other.more = nn.Linear(2, 2)
    with pytest.raises(FileError, match="a run with another module"):
        fit(other, _data(), _config(checkpoint_dir=tmp_path, resume=True))


def test_checkpoint_that_did_not_reach_the_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.pytorch.Trainer.save_checkpoint", lambda *_, **__: None)
    with pytest.raises(FileError, match=r"last\.ckpt.*expected a place to write to"):
        fit(Net(), _data(), _config(checkpoint_dir=tmp_path))


def test_best_weights_are_kept_and_patience_stops() -> None:
    net = Net()
    data = {name: value[:4] for name, value in _data().items()}
    data["y"] = torch.tensor([3.0, -3, 3, -3])  # four rows to learn by heart: validation only gets worse
    val = _data(50, seed=1)
    history = fit(net, data, _config(epochs=200, lr=3e-2, patience=5), val=val)
    losses = [row["val_loss"] for row in history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 1 + 5 < 200
    with torch.no_grad():
        assert float(net.loss(val)["loss"]) == pytest.approx(losses[best], rel=1e-5)


def test_same_seed_same_bits_and_another_seed_others() -> None:
    nets = [Net(), Net(), Net()]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        fit(net, _data(), _config(random_state=seed))
    assert _same(nets[0], nets[1])
    assert not _same(nets[0], nets[2])


def test_workers_change_neither_order_nor_weights() -> None:
    nets = [Net(), Net()]
    for net, workers in zip(nets, (0, 2), strict=True):
        fit(net, _data(), _config(epochs=2, num_workers=workers))
    assert torch.equal(torch.cat(nets[0].seen), torch.cat(nets[1].seen))
    assert _same(*nets)


def test_dropout_is_on_whatever_mode_the_module_comes_in() -> None:
    net, ready = Net(), Net()
    net.eval()
    fit(net, _data(), _config())
    fit(ready.train(), _data(), _config())
    assert net.steps > 0
    assert _same(net, ready)


def test_nan_loss_stops_and_names_the_step() -> None:
    with pytest.raises(TrainingError, match=r"the loss of step 7 \(epoch 1, batch 2\).*Lower lr"):
        fit(Net(fail_at=7), _data(), _config())


def test_weights_that_blew_up_at_the_last_step_are_an_error() -> None:
    class Blown(Net):
        def loss(self, batch: Batch) -> dict[str, Tensor]:
            parts = super().loss(batch)
            return {"loss": parts["loss"] + (self.first.weight.sum() * 0).sqrt()}  # finite, its gradient is not

    with pytest.raises(TrainingError, match=r"weight 'first\.weight' after training"):
        fit(Blown(), _data(10), _config(epochs=1))


def test_schedule_rises_and_falls_to_zero() -> None:
    history = fit(Net(), _data(), _config(epochs=10, lr=0.5, warmup=0.2, clip=1e-9))
    rates = [row["lr"] for row in history]  # after 5, 10, ... of 50 steps
    assert rates[0] == pytest.approx(0.5 * 6 / 11)
    assert rates[1] == pytest.approx(0.5)
    assert rates[5] == pytest.approx(0.5 * 0.5 * (1 + np.cos(np.pi * 20 / 40)))
    assert rates[-1] == 0


def test_clip_and_weight_decay_are_applied() -> None:
    nets = [Net() for _ in range(3)]
    for net, options in zip(nets, ({}, {"clip": 1e-6}, {"weight_decay": 10.0}), strict=True):
        fit(net, _data(), _config(**options))
    assert not _same(nets[0], nets[1])
    norms = [float(net.first.weight.detach().norm()) for net in nets]
    assert norms[2] < 0.9 * norms[0]


def test_bf16_is_not_32() -> None:
    nets = [Net(), Net()]
    for net, precision in zip(nets, ("32", "bf16"), strict=True):
        fit(net, _data(), _config(precision=precision))
    assert not _same(*nets)
    torch.testing.assert_close(nets[0].first.weight, nets[1].first.weight, atol=0.02, rtol=0)


def test_precision_left_out_is_that_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    nets = [Net(), Net(), Net()]
    fit(nets[0], _data(), _config(precision="bf16"))
    fit(nets[1], _data(), _config(precision=None))
    monkeypatch.setattr(settings, "precision", "bf16")
    fit(nets[2], _data(), _config(precision=None))
    assert _same(nets[0], nets[2])
    assert not _same(nets[0], nets[1])


@pytest.mark.usefixtures("two_threads")
def test_nothing_global_changes_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.random.seed(5)  # noqa: NPY002

    def state() -> list[str]:
        return [
            repr(x)
            for x in (
                random.getstate(),
                np.random.get_state(legacy=False)["state"]["key"].tolist(),  # noqa: NPY002
                torch.get_rng_state().tolist(),
                torch.are_deterministic_algorithms_enabled(),
                torch.backends.cudnn.benchmark,
                torch.get_num_threads(),
                os.environ.get("CUBLAS_WORKSPACE_CONFIG"),
                signal.getsignal(signal.SIGINT),
                signal.getsignal(signal.SIGTERM),
                warnings.filters,
            )
        ]

    import lightning.pytorch  # noqa: F401 (its own import may set filters)

    before = state()
    fit(Net(), _data(), _config(), val=_data(20, 1))
    assert state() == before
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_comes_out_as_ctrl_c() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        fit(Net(fail_at=3, error=KeyboardInterrupt()), _data(), _config())
    assert signal.getsignal(signal.SIGINT) is handler


def test_order_depends_on_seed_and_epoch_alone() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        return torch.cat(list(Batches(50, 8, seed, lambda: epoch))).tolist()

    assert order(0, 3) == order(0, 3)
    assert len({tuple(order(s, e)) for s in (0, 1) for e in (0, 1)}) == 4
    assert sorted(order(0, 0)) == list(range(50))


@pytest.mark.parametrize(("n", "size"), [(50, 8), (5, 8), (17, 16), (1, 4)])
def test_batches_are_even(n: int, size: int) -> None:
    batches = Batches(n, size, 0, lambda: 0)
    sizes = [len(batch) for batch in batches]
    assert len(sizes) == len(batches)
    assert sum(sizes) == n
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(("sizes", "batch_size"), [((40, 30), 8), ((7, 1, 5, 3), 4), ((2,) * 50, 10), ((9, 9), 32)])
def test_rows_come_in_pairs_of_one_section(sizes: tuple[int, ...], batch_size: int) -> None:
    section = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    section = section[torch.randperm(len(section), generator=torch.Generator().manual_seed(0))]
    epochs = []
    for epoch in range(2):
        batches = list(Batches(len(section), batch_size, 0, partial(int, epoch), section=section))
        epochs.append(torch.cat(batches).tolist())
        assert sorted(epochs[-1]) == list(range(len(section)))
        assert max(map(len, batches)) <= batch_size
        assert max(map(len, batches)) - min(map(len, batches)) <= 2
        alone = [int(row) for batch in batches for row in batch if (section[batch] == section[row]).sum() == 1]
        odd = [k for k, n in enumerate(sizes) if n % 2]
        assert len(alone) <= len(odd)
        assert {int(section[row]) for row in alone} <= set(odd)
    assert epochs[0] != epochs[1]


def test_pairs_are_drawn_evenly() -> None:
    section = torch.zeros(6, dtype=torch.int64)
    partners = torch.zeros(6, 6)
    for epoch in range(600):
        for a, b in torch.cat(list(Batches(6, 2, 0, partial(int, epoch), section=section))).reshape(-1, 2).tolist():
            partners[a, b] += 1
            partners[b, a] += 1
    others = partners[~torch.eye(6, dtype=torch.bool)]
    assert partners.diagonal().sum() == 0
    assert others.min() > 80  # 120 expected, SD 10
    assert others.max() < 160


def test_rows_hash_sees_names_and_content() -> None:
    data = _data()
    changed = {**data, "y": data["y"].clone()}
    changed["y"][3] += 1
    assert len({Rows(d).sha256() for d in (data, changed, {"x": data["x"], "z": data["y"]}, dict(data))}) == 3


def test_a_checkpoint_that_is_cut_off_is_named(tmp_path: Path) -> None:
    fit(Net(), _data(), _config(checkpoint_dir=tmp_path))
    last = tmp_path / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-500])
    with pytest.raises(FileError, match=r"last\.ckpt.*resume=False"):
        fit(Net(), _data(), _config(checkpoint_dir=tmp_path, resume=True))
