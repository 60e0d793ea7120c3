"""How to train: one configuration for all models."""

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field
from pathlib import Path
from typing import Any

from .._checks import check, is_count, is_number, to_python

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed"}  # ours → Lightning's
# An option that models of this format had not from the start: a file without it means the default.
LATER = {"later": True}
NOT_RECORDED = {"recorded": False}  # what results do not depend on, and what may name a user's folders
_ACCELERATORS = ("auto", "cpu", "cuda", "mps")


def default_of(option: Field[Any]) -> Any:
    """Return what an option of a configuration is where it is left out."""
    return option.default if option.default_factory is MISSING else option.default_factory()


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Options of training.

    Parameters
    ----------
    epochs
        Most passes over the training rows; 0 trains nothing, and leaves a model as it starts.
    batch_size
        Most rows of a batch, on each device; the rows are shared out evenly over the batches.
    lr
        Highest learning rate of AdamW.
    weight_decay
        Of AdamW, on matrices; biases, norms and scalars have none.
    warmup
        Share of all steps over which the learning rate rises; it falls to zero along a half cosine after that.
    clip
        Largest norm of the gradient; None does not clip.
    val_fraction
        Share of spots held out by spatial blocks, to stop early and keep the best weights; 0 trains on all.
    patience
        Epochs without a better validation loss after which training stops; None never stops early.
    precision
        ``"32"`` or ``"bf16"`` (mixed; slow on a CPU without arithmetic for it); None takes ``hs.settings.precision``.
    num_workers
        Processes that load data; results do not depend on it.
    accelerator
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``; ``"auto"`` follows the settings.
    devices
        How many devices.
    strategy
        Lightning's name of how several devices share the work, such as ``"ddp"``.
    checkpoint_dir
        Folder for ``last.ckpt``, written after each epoch; None keeps none.
    logger
        A logger of Lightning, or a list of them, for losses by epoch and by step; None writes those of each epoch to
        ``metrics.csv`` in the folder of checkpoints, where there is one; False, nothing. Results do not depend on it.
    resume
        Continue from that file where there is one; otherwise it is overwritten. The options must be those of the run
        that was stopped, ``epochs`` too, for the learning rate falls towards the last of them: a run that has ended
        can't be lengthened.
    random_state
        Seed of initial weights, order, dropout and held-out spots.

    Raises
    ------
    OptionError
        A value that is not allowed, naming the field.

    Examples
    --------
    >>> hs.nn.TrainConfig(epochs=20, val_fraction=0).epochs
    20
    """

    epochs: int = 100
    batch_size: int = 256
    lr: float = 1e-3
    weight_decay: float = 1e-2
    warmup: float = 0.1
    clip: float | None = 1.0
    val_fraction: float = 0.1
    patience: int | None = 15
    precision: str | None = None
    num_workers: int = 0
    accelerator: str = "auto"
    devices: int = 1
    strategy: str = "auto"
    checkpoint_dir: str | Path | None = field(default=None, metadata=NOT_RECORDED)
    logger: Any = field(default=None, hash=False, metadata=NOT_RECORDED)
    resume: bool = field(default=False, metadata=NOT_RECORDED)
    random_state: int = 0

    def __post_init__(self) -> None:
        to_python(self)
        for name, least in (("epochs", 0), ("batch_size", 2), ("num_workers", 0), ("devices", 1), ("random_state", 0)):
            value = getattr(self, name)
            check(f"TrainConfig.{name}", value, is_count(value, least), f"a whole number, {least} or more")
        check("TrainConfig.lr", self.lr, is_number(self.lr, 0) and self.lr > 0, "a positive number")
        check("TrainConfig.weight_decay", self.weight_decay, is_number(self.weight_decay, 0), "0 or more")
        for name, high in (("warmup", 1.0), ("val_fraction", 0.5)):
            value = getattr(self, name)
            check(f"TrainConfig.{name}", value, is_number(value, 0, high), f"a share from 0 to {high:g}")
        clip, patience = self.clip, self.patience
        check("TrainConfig.clip", clip, clip is None or (is_number(clip, 0) and clip > 0), "a positive number or None")
        check("TrainConfig.patience", patience, patience is None or is_count(patience), "1 or more, or None")
        known = self.precision is None or self.precision in list(PRECISIONS)
        check("TrainConfig.precision", self.precision, known, f"one of {list(PRECISIONS)}, or None")
        check("TrainConfig.accelerator", self.accelerator, self.accelerator in _ACCELERATORS, f"one of {_ACCELERATORS}")
        check("TrainConfig.strategy", self.strategy, isinstance(self.strategy, str), "a name that Lightning knows")
        folder, paths = self.checkpoint_dir, (str, Path, type(None))
        check("TrainConfig.checkpoint_dir", folder, isinstance(folder, paths), "the path of a folder, or None")
        wanted = "one of lightning.pytorch.loggers, a list of them, False or None"
        check("TrainConfig.logger", self.logger, _is_logger(self.logger), wanted)
        check("TrainConfig.resume", self.resume, isinstance(self.resume, bool), "True or False")
        check("TrainConfig.resume", "True without checkpoint_dir", self._can_resume(), "checkpoint_dir= beside it")

    def _can_resume(self) -> bool:
        return not self.resume or self.checkpoint_dir is not None


def _is_logger(value: Any) -> bool:
    # By what it can do: importing Lightning to ask takes seconds.
    some = value if isinstance(value, Sequence) and value else [value]
    return value is None or value is False or all(hasattr(one, "log_metrics") for one in some)
