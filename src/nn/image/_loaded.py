"""What loading gives: a network, and all that its source says about it."""

from dataclasses import dataclass, field
from typing import Any

from torch import nn

from ..._checks import is_count, is_number
from ..._errors import FileError
from ._pixels import INTERPOLATIONS
from ._table import NORMS

MOST_PIXELS = 8192


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

    def check(self) -> None:
        """Refuse an input that no encoder has: its source may state anything."""
        means = len(self.mean) == 3 and all(is_number(value, 0, 1) for value in self.mean)
        stds = len(self.std) == 3 and all(is_number(value, 1e-6, 1) for value in self.std)
        size = is_count(self.size) and self.size <= MOST_PIXELS
        asked = {
            "size": (size, f"a number of pixels up to {MOST_PIXELS}"),
            "mean": (means, "three numbers from 0 to 1"),
            "std": (stds, "three numbers from 0 to 1"),
            "interpolation": (self.interpolation in INTERPOLATIONS, f"one of {INTERPOLATIONS}"),
        }
        for name, (ok, expected) in asked.items():
            if not ok:
                found = str(getattr(self, name))[:100]
                fix = f"Its configuration is broken: take it from its source again, or pass {name}= yourself."
                raise FileError(f"{self.name}: {name}", found=found, expected=expected, fix=fix)
