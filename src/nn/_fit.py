"""Training: Lightning's Trainer, made quiet, repeatable and without traces."""

import logging
import os
import signal
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .._errors import FileError, HistoscribeError, OptionError
from .._settings import settings
from ._callbacks import Bar, Best, Checkpoint, Csv, History, Plain
from ._config import PRECISIONS, TrainConfig
from ._data import Batch, Rows
from ._device import choose_device
from ._diverged import diverged
from ._give_back import GiveBack
from ._seed import seeded
from ._training import Training

# What may differ between a run and its continuation.
_FREE = {"num_workers", "accelerator", "devices", "strategy", "checkpoint_dir", "logger", "resume"}
_CHECKPOINT, _METRICS = "last.ckpt", "metrics.csv"
_WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


def fit(
    module: nn.Module,
    train: Mapping[str, Tensor] | Dataset[Batch],
    config: TrainConfig,
    *,
    val: Mapping[str, Tensor] | Dataset[Batch] | None = None,
    device: str | None = None,
) -> list[dict[str, float]]:
    """Train a module in place and leave it on the CPU, in evaluation mode.

    With ``val`` it ends with the weights of the lowest validation loss. A run that was killed and is resumed from its
    checkpoint ends with the same weights, bit for bit, as one that was not, on the same machine. Random states, torch's
    switches and signal handlers are given back as they were.

    Parameters
    ----------
    module
        Has ``loss(batch)``, a dict of losses of which ``"loss"`` is minimised.
    train
        Rows to learn from: tensors of equal length, or a dataset indexed by many rows at once.
    config
        Options.
    val
        Rows to stop early by.
    device
        Name of a torch device, where ``config.accelerator`` is ``"auto"``.

    Returns
    -------
    The history: for each epoch its losses, averaged over rows, and the learning rate at its end.

    Raises
    ------
    TrainingError
        A loss or weight became NaN or infinite; the message names the step.
    FileError
        The checkpoint could not be written, or is of another run.
    """
    if config.epochs == 0:
        module.cpu().eval()
        return []
    rows = _rows(train)
    held_out = None if val is None else _rows(val)
    history, best = History(), Best(module, config.patience)
    path = None if config.checkpoint_dir is None else Path(config.checkpoint_dir) / _CHECKPOINT
    callbacks = [history, *([] if held_out is None else [best]), Bar(), GiveBack(), *_writers(path, history, config)]
    module.train()  # Lightning keeps the mode that it finds
    training = Training(module, rows, held_out, config, identity=_identity(module, rows, config))
    training.carried = {"history": history, "best": best}
    with _quiet(), _switches_kept(), seeded(config.random_state):
        trainer = _trainer(config, device, callbacks)
        _run(trainer, training, _whole(path) if config.resume and path is not None and path.is_file() else None)
    module.cpu()
    if best.weights:
        module.load_state_dict(best.weights)
    _check_weights(module)
    module.eval()
    return history.epochs


def _writers(path: Path | None, history: History, config: TrainConfig) -> list[Any]:
    if path is None:
        return []
    return [Checkpoint(path), *([Csv(path.with_name(_METRICS), history)] if config.logger is None else [])]


def _rows(data: Any) -> Any:
    return Rows(data) if isinstance(data, Mapping) else data


def _identity(module: nn.Module, rows: Any, config: TrainConfig) -> dict[str, Any]:
    """List what a resumed run must share with the run that wrote the checkpoint."""
    options = {f.name: getattr(config, f.name) for f in fields(config) if f.name not in _FREE}
    options["precision"] = config.precision or settings.precision
    shapes = {name: list(value.shape) for name, value in module.state_dict().items()}
    data = rows.sha256() if hasattr(rows, "sha256") else str(len(rows))
    model = {name: repr(value) for name, value in getattr(getattr(module, "config", None), "__dict__", {}).items()}
    gene_model = getattr(module, "gene_model", None)
    return {**options, "module": shapes, "model": model, "gene_model": gene_model, "data": data}


def _trainer(config: TrainConfig, device: str | None, callbacks: list[Any]) -> Any:
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    try:
        return _made(config, device, callbacks)
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        if isinstance(error, HistoscribeError):
            raise
        field, fix = "TrainConfig.strategy, devices, accelerator", "Leave them out for one device."
        raise OptionError(field, found=str(error)[:300], expected="what this machine can do", fix=fix) from error


def _made(config: TrainConfig, device: str | None, callbacks: list[Any]) -> Any:
    from lightning.pytorch import Trainer

    chosen = choose_device(device if config.accelerator == "auto" else config.accelerator)
    devices: Any = [chosen.index] if chosen.index is not None and chosen.type == "cuda" else config.devices
    return Trainer(
        accelerator=chosen.type,
        devices=devices,
        strategy=config.strategy,
        precision=PRECISIONS[config.precision or settings.precision],
        max_epochs=config.epochs,
        gradient_clip_val=config.clip,
        callbacks=callbacks,
        plugins=[Plain()],
        deterministic=True,
        use_distributed_sampler=False,  # ours knows its rank
        num_sanity_val_steps=0,
        logger=config.logger or False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def _whole(checkpoint: Path) -> Path:
    """Refuse a checkpoint that is cut off or changed; torch says so in words of its own, and late."""
    try:
        with zipfile.ZipFile(checkpoint) as file:
            broken = file.testzip()
    except (zipfile.BadZipFile, OSError, EOFError, NotImplementedError) as error:
        broken = str(error)
    if broken is not None:
        fix = "Delete it, or pass resume=False to start anew."
        raise FileError(str(checkpoint), found=f"a broken file ({broken})", expected="a checkpoint", fix=fix)
    return checkpoint


def _run(trainer: Any, training: Training, checkpoint: Path | None) -> None:
    try:
        trainer.fit(training, ckpt_path=checkpoint, weights_only=True)
    except SystemExit as error:
        # Lightning turns Ctrl-C into an exit, which would end a notebook's kernel.
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        raise


def _check_weights(module: nn.Module) -> None:
    for name, value in module.named_parameters():
        if not torch.isfinite(value).all():
            raise diverged(f"the weight {name!r} after training")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advice: what matters to users is raised, returned or shown by the bar."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def _switches_kept() -> Iterator[None]:
    """Give back the process-wide switches that Lightning's Trainer sets."""
    strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    benchmark, workspace = torch.backends.cudnn.benchmark, os.environ.get(_WORKSPACE)
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(strict, warn_only=warn_only)
        torch.backends.cudnn.benchmark = benchmark
        if workspace is None:
            os.environ.pop(_WORKSPACE, None)
        else:
            os.environ[_WORKSPACE] = workspace
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, handler)
