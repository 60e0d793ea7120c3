"""Pictures of coloured squares, the patches and regions of which are known, and small models that read them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from histoscribe.nn import Contrastive
from histoscribe.nn.fusion._pixel_rows import PixelRows, Pixels
from histoscribe.nn.image._blueprint import blueprint, load_network

SIZE, CELL = 48, 16
TINY: dict[str, Any] = {"img_size": SIZE, "patch_size": 4, "depth": 2, "embed_dim": 48, "num_heads": 3}


def painted(n: int, seed: int = 0) -> tuple[Pixels, dict[str, Tensor]]:
    """Lay patches side by side, each of one colour of its own, and what else is known of them."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(n)))
    colours = rng.integers(0, 256, (side + 4, side + 4, 3), dtype=np.uint8)
    overview = colours.repeat(CELL, axis=0).repeat(CELL, axis=1)
    at = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2)[:n] + 2  # x, y
    patches = np.broadcast_to(colours[at[:, 1], at[:, 0]][:, None, None], (n, SIZE, SIZE, 3)).copy()
    pixels = Pixels(patches, [overview], np.zeros(n, dtype=np.int64), (at * CELL).astype(np.float64), "painted")
    boxes = np.hstack([at * 100.0, np.full((n, 2), 100.0)])
    # Genes that say the colour, so that there is a link to be found.
    genes = patches[:, 0, 0] / 128 - 1 + 0.05 * rng.normal(size=(n, 3))
    tensors = {
        "row": torch.arange(n),
        "boxes": torch.from_numpy(boxes).float(),
        "section": torch.zeros(n, dtype=torch.int64),
        "genes": torch.from_numpy(genes).float(),
        "genes_valid": torch.ones(n, dtype=torch.bool),
    }
    return pixels, tensors


def config(**options: Any) -> Contrastive:
    """Return a small model from pixels."""
    small: dict[str, Any] = {"mode": "pixels", "encoder": "vit_tiny_patch16_224", "pretrained": False}
    small |= {"encoder_options": TINY, "trunk": "full", "trunk_rate": 1.0, "layer_decay": 1.0, "dim": 32, "hidden": 0}
    return Contrastive(**(small | options))


def built(config: Contrastive) -> nn.Module:
    """Make its module, the same each time."""
    encoder = load_network(config.encoder, pretrained=False, options=config.encoder_options, random_state=0)
    torch.manual_seed(0)
    module: nn.Module = config.build({"genes": 3}, trunk={**blueprint(encoder), "network": encoder.module})
    return module


def rows(n: int, seed: int = 0, *, augment: bool = False) -> PixelRows:
    """Return patches to train on."""
    pixels, tensors = painted(n, seed)
    return PixelRows(pixels, tensors, augment=augment)
