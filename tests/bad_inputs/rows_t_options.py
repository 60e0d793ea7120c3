"""Rows of the catalogue: options of training and of the model."""

from functools import partial
from typing import Any

import histoscribe as hs
from histoscribe._errors import OptionError, TrainingError
from histoscribe.nn import Contrastive, GeneEncoder, TrainConfig

from .row import Elsewhere, Raises, Row
from .rows_t_training import fused
from .sections import prepared

BAD: dict[str, list[Any]] = {
    "lr": [0, -1e-3, float("nan"), float("inf"), "fast", 10**400],
    "weight_decay": [-1.0, float("nan")],
    "warmup": [-0.1, 1.5, float("nan")],
    "clip": [0, -1, float("nan")],
    "epochs": [-1, 2.5, True, None],
    "batch_size": [0, 1, None],
    "val_fraction": [-0.1, 1, float("nan")],
    "patience": [0, 1.5],
    "precision": ["16", ["32"]],
    "num_workers": [-1, None],
    "accelerator": ["gpu0", ["cpu"]],
    "devices": [0, "all"],
    "strategy": [None, 3],
    "checkpoint_dir": [5],
    "logger": ["csv", 5, True],
    "resume": [1, True],
    "random_state": [-1, None, 0.5],
}
BAD_MODEL: dict[str, list[Any]] = {
    "dim": [1, 0, 2.0],
    "hidden": [-1],
    "dropout": [1.0, -0.1, float("nan")],
    "temperature": [0, -1, float("nan"), 10**400],
    "image_weight": [-0.1, 2, float("nan")],
    "n_whiten": [0],
    "max_overlap": [-1, float("nan")],
}

BAD_GENES: dict[str, list[Any]] = {
    "dim": [0, 2.0, True],
    "heads": [0, 7],
    "depth": [0],
    "hidden": [-1],
    "n_tokens": [0, "all"],
    "mask_fraction": [0, 1, float("nan")],
    "context": ["CGR", ["cgr"]],
    "set_size": [0],
    "group_size": [1, 2.5],
    "max_extent_um": [0, -600, float("nan"), float("inf")],
    "overlap": [1, None],
    "intrinsic_share": [-0.1, 2, float("nan")],
    "dropout": [1.0, -0.1],
}


def _made(kind: Any, options: dict[str, Any]) -> Any:
    return kind(**options)


def _options(kind: Any, name: str, bad: dict[str, list[Any]]) -> list[Row | Elsewhere]:
    return [
        Row(
            "T15",
            f"{name}({option}={str(value)[:8]!r})",
            partial(dict, [(option, value)]),
            {f"nn.{name}": partial(_made, kind)},
            Raises(OptionError, rf"{name}\.{option}", "Leave it out"),
        )
        for option, values in bad.items()
        for value in values
    ]


ROWS: list[Row | Elsewhere] = [
    *_options(TrainConfig, "TrainConfig", BAD),
    *_options(Contrastive, "Contrastive", BAD_MODEL),
    *_options(GeneEncoder, "GeneEncoder", BAD_GENES),
    Row(
        "T15",
        "a strategy that Lightning does not know",
        prepared,
        {"tl.fuse": lambda adata: fused(adata, strategy="fastest")},
        Raises(OptionError, "strategy", "Leave", "fastest"),
    ),
    Row(
        "T15",
        "a learning rate that makes the loss explode",
        prepared,
        {"tl.fuse": lambda adata: fused(adata, lr=1e30, clip=None, epochs=20, warmup=0)},
        Raises(TrainingError, "loss of step|weight", "Lower lr", "NaN"),
    ),
    Row(
        "T15",
        "a training configuration of another kind",
        prepared,
        {"tl.fuse": lambda adata: hs.tl.fuse(adata, Contrastive(), train={"lr": 0})},  # type: ignore[arg-type]
        Raises(OptionError, "train", "TrainConfig|Leave it out"),
    ),
]
