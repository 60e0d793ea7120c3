"""What loading gives: a network, and all that its source says about it."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ._table import NORMS


@dataclass(kw_only=True)
class Loaded:
    """A network with its weights, before the user's wishes.

    Parameters
    ----------
    name
        What it is called.
    module
        The network.
    size, mpp, mean, std, interpolation
        Of its input.
    pooling
        The default, where its source says it; else the network's own.
    weights
        Hash of the weights.
    built
        Architecture and options, in plain values.
    origin
        Source, revision, licence, gated.
    """

    name: str
    module: nn.Module
    weights: str
    size: int = 224
    mpp: float = 0.5
    mean: tuple[float, ...] = NORMS["imagenet"][0]
    std: tuple[float, ...] = NORMS["imagenet"][1]
    interpolation: str = "bicubic"
    pooling: str | None = None
    built: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
