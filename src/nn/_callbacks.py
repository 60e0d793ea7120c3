"""What happens around epochs: the history, the best weights, the checkpoint on disk, the progress bar."""

import copy
import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from .._files import atomic
from .._progress import progress


class History(Callback):
    """Numbers of each epoch."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        values = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
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
        self.waited += 1
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
        Path(path).write_bytes(content.getbuffer())


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


class Bar(Callback):
    """Progress in epochs."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._bar = progress(desc="training", total=trainer.max_epochs, unit="epoch")
        self._bar.update(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        losses = {k: f"{float(v):.3f}" for k, v in trainer.callback_metrics.items() if k in ("train_loss", "val_loss")}
        self._bar.set_postfix(losses, refresh=False)
        self._bar.update()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if hasattr(self, "_bar"):
            self._bar.close()
