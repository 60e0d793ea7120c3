"""Image and genes in one space, learned from pixels: one vision transformer for a patch and for the region around it."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .._data import Batch
from .._device import choose_device
from ..image._blueprint import rebuild
from ..image._bodies import Body
from ..image._hashes import hash_tensors
from ..image._pixels import normalize
from ..image._torch_encoder import Setup, TorchEncoder
from ..image._trunk import Seen, Trunk
from ..layers import grid_pool, placing
from ._contrastive import Contrastive
from ._contrastive_module import GENES, IMAGE, REGION, ContrastiveModule
from ._rates import by_layer

PICTURE = 8  # pixels a side that a vector is asked for


class PixelContrastive(nn.Module):
    """The module that :class:`Contrastive` describes with ``mode="pixels"``.

    Parameters
    ----------
    config
        Options.
    sizes
        Width of ``genes``.
    trunk
        Blueprint of the vision transformer; under ``"network"`` the network itself, where it is there with its weights.
    gene_encoder
        Description of the gene encoder that is trained further, in the same way; None takes gene vectors.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        config: Contrastive,
        sizes: Mapping[str, int],
        trunk: Mapping[str, Any],
        gene_encoder: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.config, self.described = config, {key: value for key, value in trunk.items() if key != "network"}
        self.trunk = Trunk(trunk["network"] if "network" in trunk else rebuild(trunk), int(trunk["size"]))
        _set_trainable(self.trunk, config)
        width = self.trunk.width
        self.pretext = nn.Parameter(0.02 * torch.randn(width))
        self.thumbnail = nn.Linear(width, width)
        self.position = nn.Linear(width, config.dim)
        self.picture = nn.Linear(width, 3 * PICTURE**2) if config.private_weight else None
        self.pairs = ContrastiveModule(config, {IMAGE: width, GENES: sizes[GENES], REGION: width}, gene_encoder)
        for name in ("mean", "std"):
            self.register_buffer(f"pixel_{name}", torch.tensor(trunk[name]).view(3, 1, 1), persistent=False)

    def train(self, mode: bool = True) -> "PixelContrastive":  # noqa: FBT001, FBT002 - torch's own signature
        """Set the mode of all but a trunk that is frozen: it drops nothing."""
        super().train(mode)
        if self.config.trunk == "frozen":
            self.trunk.eval()
        return self

    @property
    def gene_model(self) -> str | None:
        """Hash of the gene encoder that is trained further, as it was before."""
        return self.pairs.gene_model

    def rates(self) -> dict[str, float]:
        """Learning rate of each parameter of the trunk and the gene encoder, as a share of that of the rest."""
        names = [name for name, p in self.trunk.network.named_parameters() if p.requires_grad]
        how = {"rate": self.config.trunk_rate, "decay": self.config.layer_decay}
        trunk = by_layer(names, self.trunk.layer_of, top=self.trunk.depth + 1, **how)
        genes = self.pairs.rates()
        return {f"trunk.network.{name}": trunk[name] for name in trunk} | {
            f"pairs.{name}": genes[name] for name in genes
        }

    def start(self, batch: Batch) -> None:
        """Fit the scale of the gene vectors; a trunk's own vectors are normed already."""
        self.pairs.genes.scale.fit(batch[GENES][batch["genes_valid"]])

    def seen_as_patch(self, tiles: Tensor) -> Seen:
        """Read 8-bit tiles (n, size, size, 3) as patches."""
        return self.trunk(self._pixels(tiles), self.pretext.expand(len(tiles), -1))

    def seen_as_region(self, tiles: Tensor, patches: Tensor) -> Seen:
        """Read 8-bit regions (n, size, size, 3), with a patch of each (n, size, size, 3) in small as the added token."""
        token = self.thumbnail(self.trunk.embed_thumbnail(self._pixels(patches)))
        return self.trunk(self._pixels(tiles), token)

    def _pixels(self, tiles: Tensor) -> Tensor:
        return normalize(tiles.permute(0, 3, 1, 2).float(), self.pixel_mean, self.pixel_std)

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors of patch, region and genes in the joint space, and what is needed to place the patch."""
        return self.joint(batch)

    def joint(self, batch: Batch) -> dict[str, Tensor]:
        """Vectors of patch, region and genes in the joint space, and the region's cells and the patch to be placed."""
        pairs, wanted = self.pairs, self.config.losses
        joint = {GENES: pairs.joint_genes(batch)}
        if wanted is None or self.picture is not None or {"patch_spot", "patch_region"} & set(wanted):
            vectors = self.seen_as_patch(batch["patch"]).vectors
            joint[IMAGE] = pairs.image(vectors)
            if self.picture is not None:
                joint["picture"] = self.picture(vectors)
        if wanted is None or set(wanted) != {"patch_spot"}:
            region = self.seen_as_region(batch["region"], batch["patch"])
            joint |= {
                REGION: pairs.region(region.vectors),  # type: ignore[misc]
                "cells": self.position(grid_pool(region.patches)),
                "part": self.position(region.added),
            }
        return joint

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Sum of the losses, and each of them."""
        batch = self.complete(batch)
        return self.losses(self.joint(batch), batch)

    def complete(self, batch: Batch) -> Batch:
        """All rows: pixels are served for those alone that have them, and genes."""
        return batch

    def losses(self, joint: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """Each loss, and their sum."""
        found = self.pairs.contrasts(joint, batch)
        if "cells" in joint and (self.config.losses is None or "position" in self.config.losses):
            found["position"] = placing(joint["cells"], joint["part"], batch["cell"], self.pairs.log_scale)
        if "picture" in joint:
            small = F.interpolate(self._pixels(batch["patch"]), (PICTURE, PICTURE), mode="area").flatten(1)
            found["private"] = self.config.private_weight * F.mse_loss(joint["picture"].float(), small)
        absent = 0 * torch.stack([p.sum() for p in self.parameters() if p.requires_grad]).sum()
        return {"loss": sum(found.values(), absent), **({} if len(found) < 2 else found)}

    def finish(self, batch: Batch) -> None:
        """Fit what the fused vector is made of; ``batch`` holds the trunk's vectors under ``image``."""
        self.pairs.finish(batch)

    def embed(self, batch: Batch, modality: str) -> Tensor:
        """Make the vectors of a modality, of the trunk's vectors under ``image`` and those of ``genes``."""
        return self.pairs.embed(batch, modality)

    def encoder(self, device: str | None = None, precision: str | None = None) -> TorchEncoder:
        """Make an encoder of tiles, for :func:`hs.tl.encode_image`: the trunk's vectors of patches."""
        said, chosen = self.described, choose_device(device)
        weights = {**self.trunk.state_dict(), "pretext": self.pretext}
        setup = Setup(
            name=f"Contrastive {said['name']}",
            size=said["size"],
            mpp=said["mpp"],
            mean=tuple(said["mean"]),
            std=tuple(said["std"]),
            interpolation=said["interpolation"],
            pooling="avg",
            precision=precision or "32",
            weights=hash_tensors(weights),
            built={"trunk": said["name"]},
            origin={"source": "hs.tl.fuse"},
        )

        def vectors(pixels: Tensor) -> Tensor:
            return self.trunk(pixels, self.pretext.expand(len(pixels), -1)).vectors

        return TorchEncoder(Body(module=self, pooled=vectors, fixed_size=said["size"]), setup, chosen)


def _set_trainable(trunk: Trunk, config: Contrastive) -> None:
    """Freeze the trunk, add low-rank weights to it and freeze the rest, or leave all of it to be trained."""
    if config.trunk == "full":
        trunk.network.requires_grad_(requires_grad=True)
        return
    if config.trunk == "lora":
        from peft import LoraConfig, inject_adapter_in_model

        # A pattern of whole names: others of the network may end alike.
        names = "|".join(map(re.escape, trunk.linear_layers()))
        lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_rank, target_modules=f"({names})")
        inject_adapter_in_model(lora, trunk.network)
    for name, parameter in trunk.network.named_parameters():
        parameter.requires_grad = "lora_" in name
