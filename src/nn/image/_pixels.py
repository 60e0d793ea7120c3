"""From 8-bit tiles to a network's input, on its device."""

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ._encoder import Tiles

INTERPOLATIONS = ("bicubic", "bilinear")
RULE = "tiles of another size are resized as a whole, antialiased, rounded to 8 bits; nothing is cropped"


def to_device(tiles: Tiles, device: torch.device) -> Tensor:
    """Bring tiles (n, h, w, 3) to a device as they are, 8 bits a channel: b h w c -> b c h w."""
    held = np.ascontiguousarray(tiles)
    held = held if held.flags.writeable else held.copy()  # torch warns of memory that it could not write to
    return torch.from_numpy(held).to(device).permute(0, 3, 1, 2)


def resize(pixels: Tensor, size: int, interpolation: str) -> Tensor:
    """Resize (n, 3, h, w) to squares as Pillow does, up to its fixed-point weights; leave those of that size alone."""
    if pixels.shape[-2:] == (size, size):
        return pixels.float()
    resized = pixels.float()
    for shape in ((pixels.shape[-2], size), (size, size)):  # Pillow too does columns first and rounds in between
        resized = interpolate(resized, shape, mode=interpolation, align_corners=False, antialias=True)
        resized = resized.round_().clamp_(0, 255)
    return resized


def normalize(pixels: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Scale 0-255 to 0-1, subtract the mean and divide by the deviation of each channel (3, 1, 1)."""
    return pixels.div(255).sub_(mean).div_(std).contiguous()
