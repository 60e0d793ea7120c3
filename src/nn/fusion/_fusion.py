"""What a fusion model is."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from torch import Tensor

from .._data import Batch


class FusionModule(Protocol):
    """A module that training and embedding know how to use.

    One that also has ``complete(batch)`` (the rows it can use), ``joint(batch)`` (vectors by modality) and
    ``losses(joint, batch)`` is watched while it trains: how well pairs find each other goes into the history. One with
    ``rates()`` (parameter → share of the learning rate) trains parts more slowly.
    """

    def start(self, batch: Batch) -> None:
        """Fit the statistics of the inputs, before training."""
        ...

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors of each modality in the joint space."""
        ...

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Losses by name; ``"loss"`` is the one to minimise."""
        ...

    def finish(self, batch: Batch) -> None:
        """Fit what follows from the trained weights."""
        ...

    def embed(self, batch: Batch, modality: str) -> Tensor:
        """Vectors of ``"both"``, or of ``"image"`` or ``"genes"`` alone."""
        ...


class FusionConfig(Protocol):
    """A frozen dataclass with the options of a model."""

    reads: ClassVar[tuple[str, ...]]
    """Which of ``"image"``, ``"genes"`` and ``"pathways"`` it reads."""

    def build(self, sizes: Mapping[str, int]) -> FusionModule:
        """Make the module, with fresh weights, for inputs of these widths."""
        ...
