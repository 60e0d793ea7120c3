"""Image and genes in one space by contrast, and one vector of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._checks import check, is_count, is_number
from .._data import Batch
from ..layers import Ridge, Standardise, Whiten, info_nce, overlap

IMAGE, GENES = "image", "genes"


@dataclass(frozen=True, kw_only=True)
class Contrastive:
    """Joint space of image and gene vectors that were computed before.

    Two small heads are trained so that image and genes of a spot meet in one space (symmetric InfoNCE, Radford et al.
    2021). That space keeps what the modalities share, so the fused vector is not taken from it: it is made of both
    *whitened inputs*, side by side, and holds what either knows alone too. Where a spot lacks one modality, its half
    is predicted from the joint-space vector of the other.

    Parameters
    ----------
    dim
        Width of the joint space.
    hidden
        Width of the hidden layer of each head; 0 makes the heads linear.
    dropout
        Share of hidden units dropped in training.
    temperature
        Of the contrast, at the start; learned from there.
    image_weight
        Weight of the image in the fused vector, from 0 (genes alone) to 1 (image alone).
    n_whiten
        Most components of each modality in the fused vector.
    max_overlap
        Spots of one section whose tiles overlap by more than this share are no negatives of each other: they show
        the same tissue.

    Raises
    ------
    OptionError
        A value that is not allowed, naming the field.

    Examples
    --------
    >>> model = hs.tl.fuse(adata, hs.nn.Contrastive(dim=64))
    """

    reads: ClassVar = (IMAGE, GENES)

    dim: int = 128
    hidden: int = 256
    dropout: float = 0.1
    temperature: float = 0.07
    image_weight: float = 0.5
    n_whiten: int = 32
    max_overlap: float = 0.1

    def __post_init__(self) -> None:
        for name, least in (("dim", 2), ("hidden", 0), ("n_whiten", 1)):
            value = getattr(self, name)
            check(f"Contrastive.{name}", value, is_count(value, least), f"a whole number, {least} or more")
        for name in ("image_weight", "max_overlap"):
            value = getattr(self, name)
            check(f"Contrastive.{name}", value, is_number(value, 0, 1), "a number from 0 to 1")
        check("Contrastive.dropout", self.dropout, is_number(self.dropout, 0, 0.99), "a share below 1")
        check("Contrastive.temperature", self.temperature, is_number(self.temperature, 0.01, 10), "from 0.01 to 10")

    def build(self, sizes: Mapping[str, int]) -> "ContrastiveModule":
        """Make the module for inputs of these widths: ``image`` and ``genes``."""
        return ContrastiveModule(self, sizes)


class ContrastiveModule(nn.Module):
    """The module that :class:`Contrastive` describes."""

    def __init__(self, config: Contrastive, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self.config = config
        self.image = _Branch(config, sizes[IMAGE], per_feature=True)
        self.genes = _Branch(config, sizes[GENES], per_feature=False)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))

    def _branches(self) -> dict[str, "_Branch"]:
        return {IMAGE: self.image, GENES: self.genes}

    def start(self, batch: Batch) -> None:
        """Fit the scale of the inputs on the training spots."""
        for name, branch in self._branches().items():
            branch.scale.fit(batch[name][batch[f"{name}_valid"]])

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors of each modality in the joint space, of length one."""
        return {name: branch(batch[name]) for name, branch in self._branches().items()}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of the spots that have both modalities."""
        batch = _complete(batch)
        if len(batch[IMAGE]) < 2:
            return {"loss": 0 * torch.stack([p.sum() for p in self.parameters()]).sum()}
        near = overlap(batch["boxes"], batch["section"]) > self.config.max_overlap
        joint = self(batch)
        return {"loss": info_nce(joint[IMAGE], joint[GENES], self.log_scale, no_negative=near)}

    @torch.no_grad()
    def finish(self, batch: Batch) -> None:
        """Fit whitening, and the prediction of each half from the other modality, on the training spots."""
        for name, branch in self._branches().items():
            branch.whiten.fit(branch.scale(batch[name][batch[f"{name}_valid"]]))
        batch = _complete(batch)
        joint = self(batch)
        self.image.fill.fit(joint[GENES], self.image.half_of(batch[IMAGE]))
        self.genes.fill.fit(joint[IMAGE], self.genes.half_of(batch[GENES]))

    @torch.no_grad()
    def embed(self, batch: Batch, modality: str) -> Tensor:
        """Vectors of length one: ``"both"``, or ``"image"`` or ``"genes"`` in the joint space."""
        if modality != "both":
            return self._branches()[modality](batch[modality])
        joint, w = self(batch), self.config.image_weight
        image = self.image.filled(batch[IMAGE], batch["image_valid"], joint[GENES])
        genes = self.genes.filled(batch[GENES], batch["genes_valid"], joint[IMAGE])
        return F.normalize(torch.cat([math.sqrt(w) * image, math.sqrt(1 - w) * genes], dim=-1), dim=-1)


class _Branch(nn.Module):
    """What is done to one modality: scale and head into the joint space, and its half of the fused vector."""

    def __init__(self, config: Contrastive, width: int, *, per_feature: bool) -> None:
        super().__init__()
        self.scale = Standardise(width, per_feature=per_feature)
        self.head = _head(width, config)
        self.whiten = Whiten(width, config.n_whiten)
        self.fill = Ridge(config.dim, min(width, config.n_whiten))

    def forward(self, x: Tensor) -> Tensor:
        """Joint-space vectors (n, dim), of length one."""
        return F.normalize(self.head(self.scale(x)), dim=-1)

    def half_of(self, x: Tensor) -> Tensor:
        """Whitened input, of typical length one."""
        return self.whiten(self.scale(x))

    def filled(self, x: Tensor, present: Tensor, other: Tensor) -> Tensor:
        """Fill in the half of rows without this modality, predicted from the other's joint-space vectors."""
        # A prediction is shorter than what it predicts; at another length than the rest, it would cluster apart.
        predicted = F.normalize(self.fill(other), dim=-1)
        return torch.where(present[:, None], self.half_of(x), predicted)


def _complete(batch: Batch) -> Batch:
    """Rows that have both modalities."""
    both = batch["image_valid"] & batch["genes_valid"]
    return {name: value[both] for name, value in batch.items()}


def _head(width: int, config: Contrastive) -> nn.Module:
    if not config.hidden:
        return nn.Linear(width, config.dim)
    return nn.Sequential(
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.dim),
        nn.LayerNorm(config.dim),
    )
