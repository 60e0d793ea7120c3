"""Heads that bring vectors of image and genes into one space, and the vector that is made of both."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._data import Batch
from .._diverged import check_finite
from ..layers import Ridge, Standardise, Whiten, info_nce, overlap
from ._gene_reader import GeneReader

if TYPE_CHECKING:
    from ._contrastive import Contrastive

IMAGE, GENES, REGION = "image", "genes", "region"
# Which vectors each contrast is of, whether either looks for the other, and whose overlap makes two rows no negatives.
_PAIRS = {
    "patch_spot": (IMAGE, GENES, True, "boxes"),
    "region_spot": (REGION, GENES, True, "region_boxes"),
    "patch_region": (IMAGE, REGION, False, "region_boxes"),
}


class ContrastiveModule(nn.Module):
    """The module that :class:`Contrastive` describes, for vectors of image and genes, or tokens of genes."""

    def __init__(
        self, config: "Contrastive", sizes: Mapping[str, int], gene_encoder: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__()
        self.config = config
        self.image = _Branch(config, sizes[IMAGE], per_feature=True)
        self.genes = _Branch(config, sizes[GENES], per_feature=False)
        self.region = _Joined(config, sizes[REGION], per_feature=True) if REGION in sizes else None
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / config.temperature)))
        self.gene_encoder = None if gene_encoder is None else GeneReader(gene_encoder)

    def _branches(self) -> dict[str, "_Branch"]:
        return {IMAGE: self.image, GENES: self.genes}

    def start(self, batch: Batch) -> None:
        """Fit the scale of the inputs on the training spots."""
        for name, branch in self._joined().items():
            branch.scale.fit(batch[name][batch[f"{name}_valid"]])

    def _joined(self) -> dict[str, "_Joined"]:
        return {**self._branches(), **({} if self.region is None else {REGION: self.region})}

    @property
    def gene_model(self) -> str | None:
        """Hash of the gene encoder that is trained further, as it was before."""
        return None if self.gene_encoder is None else self.gene_encoder.said.get("sha256")

    def rates(self) -> dict[str, float]:
        """Learning rate of each parameter of the gene encoder, as a share of that of the rest."""
        if self.gene_encoder is None:
            return {}
        rates = self.gene_encoder.rates(self.config.trunk_rate, self.config.layer_decay)
        return {f"gene_encoder.{name}": rate for name, rate in rates.items()}

    def joint_genes(self, batch: Batch) -> Tensor:
        """Vectors of the genes in the joint space: of their vectors, or, while an encoder is trained, of their tokens."""
        there = self.gene_encoder is None or GENES in batch
        joint: Tensor = self.genes(batch[GENES] if there else self.gene_encoder(batch))  # type: ignore[misc]
        return joint

    def joint(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors of each modality and scale in the joint space, of length one."""
        others = {name: branch for name, branch in self._joined().items() if name != GENES}
        return {GENES: self.joint_genes(batch), **{name: branch(batch[name]) for name, branch in others.items()}}

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors of each modality and scale in the joint space, of length one."""
        return self.joint(batch)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Contrasts of the spots that have all that is read."""
        batch = self.complete(batch)
        return self.losses(self.joint(batch), batch)

    def complete(self, batch: Batch) -> Batch:
        """Rows that have all that is read."""
        return _complete(batch, list(self._joined()))

    def losses(self, joint: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Each loss, and their sum."""
        found = self.contrasts(joint, batch)
        absent = 0 * torch.stack([p.sum() for p in self.parameters()]).sum()  # so that each has a gradient
        return {"loss": sum(found.values(), absent), **({} if len(found) < 2 else found)}

    def contrasts(self, joint: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Contrasts by name; none where there is but one spot."""
        config, gather = self.config, self.config.gather_negatives
        wanted = _PAIRS if config.losses is None else [name for name in config.losses if name in _PAIRS]
        found = {}
        for name in wanted:
            a, b, both_ways, boxes = _PAIRS[name]
            if a not in joint or b not in joint or len(joint[a]) < 2:
                continue
            near = overlap(batch[boxes], batch["section"], gather=gather) > config.max_overlap
            found[name] = info_nce(
                joint[a], joint[b], self.log_scale, no_negative=near, both_ways=both_ways, gather=gather
            )
        return found

    @torch.no_grad()
    def finish(self, batch: Batch) -> None:
        """Fit whitening, and the prediction of each half from the other modality, on the training spots."""
        whole = _complete(batch, [IMAGE, GENES])
        image, genes = self.image(whole[IMAGE]), self.genes(whole[GENES])
        check_finite({IMAGE: image, GENES: genes})
        for name, branch in self._branches().items():
            branch.whiten.fit(branch.scale(batch[name][batch[f"{name}_valid"]]))
        self.image.fill.fit(genes, self.image.half_of(whole[IMAGE]))
        self.genes.fill.fit(image, self.genes.half_of(whole[GENES]))

    @torch.no_grad()
    def embed(self, batch: Batch, modality: str) -> Tensor:
        """Vectors of ``"both"``; or, of length one, of ``"image"`` or ``"genes"`` in the joint space."""
        if modality != "both":
            return self._branches()[modality](batch[modality])
        joint, w = {name: branch(batch[name]) for name, branch in self._branches().items()}, self.config.image_weight
        image = self.image.filled(batch[IMAGE], batch["image_valid"], joint[GENES])
        genes = self.genes.filled(batch[GENES], batch["genes_valid"], joint[IMAGE])
        both = torch.cat([math.sqrt(w) * image, math.sqrt(1 - w) * genes], dim=-1)
        return F.normalize(both, dim=-1) if self.config.unit_length else both


class _Joined(nn.Module):
    """The way of vectors into the joint space: scale and head."""

    def __init__(self, config: "Contrastive", width: int, *, per_feature: bool) -> None:
        super().__init__()
        self.scale = Standardise(width, per_feature=per_feature)
        self.head = _head(width, config)

    def forward(self, x: Tensor) -> Tensor:
        """Joint-space vectors (n, dim), of length one."""
        return F.normalize(self.head(self.scale(x)), dim=-1)


class _Branch(_Joined):
    """What is done to one modality: its way into the joint space, and its half of the fused vector."""

    def __init__(self, config: "Contrastive", width: int, *, per_feature: bool) -> None:
        super().__init__(config, width, per_feature=per_feature)
        self.whiten = Whiten(width, config.n_whiten)
        self.fill = Ridge(config.dim, min(width, config.n_whiten))

    def half_of(self, x: Tensor) -> Tensor:
        """Whitened input, of typical length one."""
        return self.whiten(self.scale(x))

    def filled(self, x: Tensor, present: Tensor, other: Tensor) -> Tensor:
        """Fill in the half of rows without this modality, predicted from the other's joint-space vectors."""
        # A prediction is shorter than what it predicts; at another length than the rest, it would cluster apart.
        predicted = F.normalize(self.fill(other), dim=-1)
        return torch.where(present[:, None], self.half_of(x), predicted)


def _complete(batch: Batch, names: list[str]) -> Batch:
    """Rows that have all of these."""
    there = torch.stack([batch[f"{name}_valid"] for name in names]).all(dim=0)
    return {name: value[there] for name, value in batch.items()}


def _head(width: int, config: "Contrastive") -> nn.Module:
    if not config.hidden:
        return nn.Linear(width, config.dim)
    return nn.Sequential(
        nn.Linear(width, config.hidden),
        nn.GELU(),
        nn.Dropout(config.dropout),
        nn.Linear(config.hidden, config.dim),
        nn.LayerNorm(config.dim),
    )
