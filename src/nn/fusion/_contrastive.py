"""Image and genes in one space by contrast, and one vector of both."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._data import Batch
from .._options import check, is_count, is_number
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

    modalities = (IMAGE, GENES)

    def __init__(self, config: Contrastive, sizes: Mapping[str, int], mode: str = "shrink") -> None:
        super().__init__()
        self.config = config
        self.inputs = nn.ModuleDict({m: Standardise(sizes[m], per_feature=m == IMAGE) for m in self.modalities})
        self.heads = nn.ModuleDict({m: _head(sizes[m], config) for m in self.modalities})
        self.whiten = nn.ModuleDict({m: Whiten(sizes[m], config.n_whiten, mode) for m in self.modalities})
        width = {m: min(sizes[m], config.n_whiten) for m in self.modalities}
        self.fill = nn.ModuleDict({m: Ridge(config.dim, width[m]) for m in self.modalities})
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))

    def start(self, batch: Batch) -> None:
        """Fit the scale of the inputs on the training spots."""
        for m in self.modalities:
            self.inputs[m].fit(batch[m][batch[f"{m}_valid"]])

    def project(self, batch: Batch, modality: str) -> Tensor:
        """Joint-space vectors (n, dim) of one modality, of length one."""
        return F.normalize(self.heads[modality](self.inputs[modality](batch[modality])), dim=-1)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Joint-space vectors of both modalities."""
        return {m: self.project(batch, m) for m in self.modalities}

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrast of the spots that have both modalities."""
        both = batch["image_valid"] & batch["genes_valid"]
        batch = {name: value[both] for name, value in batch.items()}
        if len(batch[IMAGE]) < 2:
            return {"loss": 0.0 * sum(p.sum() for p in self.parameters())}
        near = overlap(batch["boxes"], batch["section"]) > self.config.max_overlap
        joint = self(batch)
        return {"loss": info_nce(joint[IMAGE], joint[GENES], self.log_scale, no_negative=near)}

    @torch.no_grad()
    def finish(self, batch: Batch) -> None:
        """Fit whitening, and the prediction of each half from the other modality, on the training spots."""
        for m in self.modalities:
            self.whiten[m].fit(self.inputs[m](batch[m][batch[f"{m}_valid"]]))
        both = batch["image_valid"] & batch["genes_valid"]
        batch = {name: value[both] for name, value in batch.items()}
        for m, other in ((IMAGE, GENES), (GENES, IMAGE)):
            self.fill[m].fit(self.project(batch, other), self.half(batch, m))

    def half(self, batch: Batch, modality: str) -> Tensor:
        """One modality's half of the fused vector: its whitened input, of typical length one."""
        return self.whiten[modality](self.inputs[modality](batch[modality]))

    @torch.no_grad()
    def embed(self, batch: Batch, modality: str) -> Tensor:
        """Vectors of length one: ``"both"``, or ``"image"`` or ``"genes"`` in the joint space."""
        if modality != "both":
            return self.project(batch, modality)
        weight = {IMAGE: self.config.image_weight, GENES: 1 - self.config.image_weight}
        halves = [math.sqrt(weight[m]) * self._filled(batch, m) for m in self.modalities]
        return F.normalize(torch.cat(halves, dim=-1), dim=-1)

    def _filled(self, batch: Batch, modality: str) -> Tensor:
        """The half of a modality, predicted where it is missing."""
        other = GENES if modality == IMAGE else IMAGE
        # A prediction is shorter than what it predicts; at another length than the rest, it would cluster apart.
        predicted = F.normalize(self.fill[modality](self.project(batch, other)), dim=-1)
        return torch.where(batch[f"{modality}_valid"][:, None], self.half(batch, modality), predicted)


def _head(n_features: int, config: Contrastive) -> nn.Module:
    if not config.hidden:
        return nn.Linear(n_features, config.dim)
    return nn.Sequential(
        nn.Linear(n_features, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.dim),
        nn.LayerNorm(config.dim),
    )
