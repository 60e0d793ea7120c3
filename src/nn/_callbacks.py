"""What happens around epochs: the history, the best weights, the checkpoint on disk, the progress bar."""

import copy
import io
import time
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from .._files import atomic
from .._progress import progress

_REFRESH_S = 0.5


class History(Callback):
    """Numbers of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        seen = sorted(trainer.callback_metrics.items())
        values = {name: float(value) for name, value in seen if name.startswith(("train_", "val_", "check_"))}
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.epochs.append({"epoch": trainer.current_epoch, **values, "lr": rate})

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs, and what a worker process hands back."""
        return {"epochs": copy.deepcopy(self.epochs)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.epochs = copy.deepcopy(state["epochs"])


class Best(Callback):
    """Keeps the weights of the lowest validation loss, and stops after ``patience`` epochs without a lower one."""

    def __init__(self, module: nn.Module, patience: int | None) -> None:
        self.module = module
        self.patience, self.loss, self.waited = patience, float("inf"), 0
        self.weights: dict[str, Tensor] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        loss = float(trainer.callback_metrics["val_loss"])
        # An objective that is not whole yet says nothing of when to stop.
        self.waited = 0 if getattr(self.module, "context_waits", False) else self.waited + 1
        if loss < self.loss:
            self.loss, self.waited = loss, 0
            weights = self.module.state_dict()
            self.weights = {name: value.detach().cpu().clone() for name, value in weights.items()}
        if self.patience is not None and self.waited >= self.patience:
            trainer.should_stop = True

    def state(self) -> dict[str, Any]:
        """Return what a resumed run needs, and what a worker process hands back."""
        return {"loss": self.loss, "waited": self.waited, "weights": self.weights}

    def restore(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.loss, self.waited, self.weights = state["loss"], state["waited"], state["weights"]


class Plain(TorchCheckpointIO):
    """Writes a checkpoint where it is told to: Lightning's own goes through TMPDIR and is silent where it may not."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        # Through memory: torch reports a full disk in ways of its own, and then destroys what it holds noisily.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        Path(path).write_bytes(content.getvalue())  # no view: the traceback of a full disk would hold it


class Checkpoint(Callback):
    """Writes ``last.ckpt`` after each epoch, in one step; a full or read-only disk is an error."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.path)  # takes part, writes nothing
            return
        with atomic(self.path) as beside:
            trainer.save_checkpoint(beside)


class Csv(Callback):
    """Writes the history after each epoch: whole, so that a resumed run neither doubles nor loses a row."""

    def __init__(self, path: Path, history: History) -> None:
        self.path, self.history = path, history

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._write(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._write(trainer)  # of a run that was killed after its last checkpoint, and had nothing left to do

    def _write(self, trainer: Trainer) -> None:
        if trainer.is_global_zero and self.history.epochs:
            with atomic(self.path) as beside:
                pd.DataFrame(self.history.epochs).to_csv(beside, index=False)


class Bar(Callback):
    """Progress in epochs, with the losses of the last one and the step within this one."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            self._bar = progress(desc="training", total=trainer.max_epochs, unit="epoch")
            self._bar.update(trainer.current_epoch)
            self._losses: dict[str, str] = {}
            self._shown = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, *args: Any) -> None:
        if trainer.is_global_zero and time.monotonic() - self._shown > _REFRESH_S:
            step = f"{trainer.fit_loop.batch_idx + 1}/{trainer.num_training_batches}"
            self._bar.set_postfix({**self._losses, "step": step})
            self._shown = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            seen = {name: trainer.callback_metrics.get(name) for name in ("train_loss", "val_loss")}
            self._losses = {name: f"{float(value):.3f}" for name, value in seen.items() if value is not None}
            self._bar.set_postfix(self._losses, refresh=False)
            self._bar.update()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if hasattr(self, "_bar"):
            self._bar.close()
