"""The Lightning side of a module: steps, schedule, loaders."""

import math
from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from .._errors import FileError
from ._config import TrainConfig
from ._data import Batch, mean_over_ranks, rank_and_world
from ._diverged import diverged
from ._pairs import PAIR, agreement
from ._seed import reseed


class Training(LightningModule):
    """Wraps a module with ``loss(batch)`` for Lightning's Trainer.

    Parameters
    ----------
    module
        What is trained.
    train, val
        Rows to learn from, and those to stop early by (or None).
    config
        Options.
    identity
        What the run depends on; a checkpoint of another run is refused.
    """

    def __init__(
        self, module: Any, train: Dataset[Batch], val: Dataset[Batch] | None, config: TrainConfig, *, identity: Any
    ) -> None:
        super().__init__()
        self.module = module
        self.train_rows, self.val_rows, self.config, self.identity = train, val, config, identity
        self.carried: dict[str, Any] = {}
        self._seen: list[Batch] = []

    def get_extra_state(self) -> dict[str, Any]:
        # Callbacks' own states would not come back from the processes of a distributed run; the module's do.
        return {name: held.state() for name, held in self.carried.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        for name, held in self.carried.items():
            held.restore(state[name])

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["identity"] = self.identity

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        found = checkpoint.get("identity", {})
        off = [name for name, value in self.identity.items() if found.get(name) != value]
        if off:
            fix = "Resume with the same data and options, or start anew with resume=False."
            said = "; ".join(_difference(found.get(name), self.identity[name]) for name in off if name != "data")
            found = f"the checkpoint of a run with another {', '.join(off)}{f' ({said})' if said else ''}"
            raise FileError(str(self.config.checkpoint_dir), found=found, expected="this run", fix=fix)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        losses = self.module.loss(batch)
        loss = self._log("train", losses, batch)["train_loss"]
        if not torch.isfinite(loss):  # on any of the processes: one that stops alone leaves the others waiting
            raise diverged(f"the loss of step {self.global_step} (epoch {self.current_epoch}, batch {batch_idx})")
        if self.trainer.loggers:
            rate = self.optimizers().param_groups[0]["lr"]  # type: ignore[union-attr]
            self.log_dict({"step_loss": loss, "step_lr": rate}, on_step=True, on_epoch=False)
        return losses["loss"]

    def validation_step(self, batch: Batch) -> None:
        if not hasattr(self.module, "joint"):
            self._log("val", self.module.loss(batch), batch)
            return
        batch = self.module.complete(batch)
        joint = self.module.joint(batch)
        self._log("val", self.module.losses(joint, batch), batch)
        self._seen.append({name: joint[name].float().cpu() for name in PAIR if name in joint})
        self._seen[-1]["section"] = batch["section"].cpu()

    def on_validation_epoch_end(self) -> None:
        """Log how well the pairs among the rows held out find each other; over processes, the mean."""
        seen, self._seen = self._seen, []
        for name, value in (agreement(seen) if seen else {}).items():
            self.log(f"check_{name}", torch.tensor(value, device=self.device), sync_dist=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if batch_idx == 0:
            # Random states are a function of seed and epoch alone, so that a resumed run needs none of them.
            # From 1 on: the seed alone is that of the initial weights, and of a batch that was loaded before this.
            reseed(self.config.random_state, 1 + self.current_epoch, self.global_rank)
            if hasattr(self.module, "begin_epoch"):
                self.module.begin_epoch(self.current_epoch, self.config.epochs)

    def _log(self, part: str, losses: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Log the losses over all processes, as if one had the whole batch."""
        own = self.module.n_rows(batch) if hasattr(self.module, "n_rows") else len(next(iter(batch.values())))
        size = torch.tensor(float(own), device=self.device)
        *means, rows = mean_over_ranks(torch.stack([*(loss.float() for loss in losses.values()), size]))
        values = {f"{part}_{name}": mean for name, mean in zip(losses, means, strict=True)}
        n_rows = round(float(rows) * rank_and_world()[1])
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=n_rows, sync_dist=True)
        return values

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(_groups(self.module, self.config), lr=self.config.lr)
        # Not the trainer's estimate: asking for it starts the workers, before a resumed run knows its epoch.
        total = len(self._batches(self.train_rows, shuffle=True)) * self.config.epochs
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, WarmCosine(total, self.config.warmup))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def train_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self.train_rows, shuffle=True)

    def val_dataloader(self) -> Any:
        return [] if self.val_rows is None else self._loader(self.val_rows, shuffle=False)

    def _batches(self, rows: Any, *, shuffle: bool) -> Any:
        epoch = self._epoch if shuffle else None
        return rows.batches(self.config.batch_size, self.config.random_state, epoch)

    def _epoch(self) -> int:
        # Not current_epoch: that is one behind while a resumed run starts its workers.
        done: Any = self.trainer.fit_loop.epoch_progress.current
        return done.processed

    def _loader(self, rows: Any, *, shuffle: bool) -> DataLoader[Batch]:
        batches = self._batches(rows, shuffle=shuffle)
        # Its own generator: a loader without one draws from the global state, and more so with workers.
        own = torch.Generator().manual_seed(self.config.random_state)
        return DataLoader(rows, sampler=batches, batch_size=None, num_workers=self.config.num_workers, generator=own)


class WarmCosine:
    """Factor of the learning rate at a step: a linear rise, then half a cosine down to zero at the last step."""

    def __init__(self, total: int, warmup: float) -> None:
        self.total, self.rise = total, round(total * warmup)

    def __call__(self, step: int) -> float:
        if step < self.rise:
            return (step + 1) / (self.rise + 1)
        done = (step - self.rise) / max(1, self.total - self.rise)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def _groups(module: Any, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameters by rate and by whether they decay (matrices) or must not (biases, norms, scalars)."""
    rates: dict[str, float] = module.rates() if hasattr(module, "rates") else {}
    groups: dict[tuple[float, bool], list[Tensor]] = {(1.0, True): [], (1.0, False): []}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((rates.get(name, 1.0), parameter.ndim > 1), []).append(parameter)
    return [
        {"params": held, "lr": rate * config.lr, "weight_decay": config.weight_decay if decays else 0.0}
        for (rate, decays), held in groups.items()
    ]


def _difference(found: Any, own: Any) -> str:
    if isinstance(found, dict) and isinstance(own, dict):
        names = [name for name in {**found, **own} if found.get(name) != own.get(name)]
        return ", ".join(f"{name} {found.get(name)} for {own.get(name)}" for name in names[:3])
    return f"{str(found)[:500]} for {str(own)[:500]}"
