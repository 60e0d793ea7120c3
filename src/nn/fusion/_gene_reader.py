"""A gene encoder inside a model that trains it further."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict
from typing import Any

from torch import Tensor, nn

from .._data import Batch
from .._model import Model
from ..genes._gene_encoder import GeneEncoder
from ._rates import by_layer

_SAID = ("sizes", "vocabulary", "rank")


def described(model: Model) -> dict[str, Any]:
    """Tell what is needed to make a gene encoder again, in plain JSON values."""
    return {"options": asdict(model.config), "sha256": model.sha256, **{name: model.meta[name] for name in _SAID}}


class GeneReader(nn.Module):
    """Reads the tokens of spots, where a model without one is given their vectors.

    Parameters
    ----------
    said
        What :func:`described` told of a gene encoder; under ``"network"`` its network, where it is there with its
        weights: it is copied. The heads that it was trained with are left out.
    """

    def __init__(self, said: Mapping[str, Any]) -> None:
        super().__init__()
        self.said = {name: value for name, value in said.items() if name != "network"}
        self.config = GeneEncoder(**said["options"])
        self.network = deepcopy(said["network"]) if "network" in said else self.config.build(said["sizes"])
        self.network.intrinsic = self.network.contextual = None

    @property
    def model(self) -> Model:
        """The encoder by itself, for whoever encodes sections; it shares the weights."""
        return Model(self.config, self.network, {name: self.said[name] for name in _SAID})

    def forward(self, batch: Batch) -> Tensor:
        """Vectors (n, dim) of ``tokens`` (n, l), less ``genes_mean`` (n, dim) where that is subtracted."""
        vectors: Tensor = self.network.embed(batch["tokens"].long())
        return vectors - batch["genes_mean"] if "genes_mean" in batch else vectors

    def rates(self, rate: float, decay: float) -> dict[str, float]:
        """Learning rate of each parameter: the last layer has ``rate``, each before it ``decay`` of the one above."""
        names = [name for name, _ in self.named_parameters()]
        return by_layer(names, self._layer_of, top=self.config.depth + 1, rate=rate, decay=decay)

    def _layer_of(self, name: str) -> int:
        """Tell the layer that a parameter belongs to: 0 before the blocks, depth + 1 after them."""
        _, part, *rest = name.split(".")
        if part == "blocks":
            return 1 + int(rest[0])
        return self.config.depth + 1 if part == "norm" else 0
