"""Networks with random weights, tiles, and folders as timm and the hub lay them out."""

from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

Tiles = NDArray[np.uint8]
TINY: dict[str, Any] = {"depth": 2, "embed_dim": 48, "num_heads": 3}


def tiles_of(n: int = 2, size: int = 224, seed: int = 0) -> Tiles:
    """Smooth colours with noise: neither flat nor white noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (n, 7, 7, 3), dtype=np.uint8)
    smooth = [np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BICUBIC)) for one in coarse]
    return (np.stack(smooth) + rng.normal(0, 8, (n, size, size, 3))).clip(0, 255).astype(np.uint8)


def network(name: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    """Return a network of timm, the same each time, without a classifier unless asked for."""
    torch.manual_seed(1)
    module: nn.Module = timm.create_model(name, pretrained=False, **{"num_classes": 0, **options})
    return module.eval()


def saved(folder: Path, module: Any, **args: Any) -> Path:
    """Write a network as timm does."""
    timm.models.save_for_hf(module, str(folder), model_args=args, safe_serialization=True)
    return folder
