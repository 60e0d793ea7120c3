"""CTransPath: a Swin transformer whose patches come from convolutions, and the names its checkpoint has for them."""

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

_BUFFERS = ("attn_mask", "relative_position_index")  # made anew by each network, saved by old versions of timm


class ConvStem(nn.Module):
    """Patches of 4 x 4 pixels from two 3 x 3 convolutions of stride 2 and one of 1 x 1.

    Parameters
    ----------
    img_size, patch_size, in_chans, embed_dim
        As of timm's ``PatchEmbed``, in whose place it stands.
    norm_layer
        Norm of the patches.
    others
        What timm passes on and this stem has no use for.

    References
    ----------
    Wang et al. 2022, Transformer-based unsupervised contrastive learning for histopathological image classification.
    """

    def __init__(
        self,
        img_size: int | tuple[int, int] = 224,
        patch_size: int = 4,
        in_chans: int = 3,
        embed_dim: int = 96,
        norm_layer: Any = None,
        **others: Any,
    ) -> None:
        super().__init__()
        height, width = (img_size, img_size) if isinstance(img_size, int) else img_size
        self.img_size, self.patch_size = (height, width), (patch_size, patch_size)
        self.grid_size = (height // patch_size, width // patch_size)
        self.num_patches = self.grid_size[0] * self.grid_size[1]
        self.strict_img_size = True
        layers: list[nn.Module] = []
        narrow, wide = in_chans, embed_dim // 8
        for _ in range(2):
            layers += [nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            narrow, wide = wide, 2 * wide
        self.proj = nn.Sequential(*layers, nn.Conv2d(narrow, embed_dim, 1))
        self.norm = norm_layer(embed_dim) if norm_layer else nn.Identity()

    def forward(self, pixels: Tensor) -> Tensor:
        """Patches (n, h, w, d) of pixels (n, 3, 4 h, 4 w)."""
        patches: Tensor = self.norm(self.proj(pixels).permute(0, 2, 3, 1))  # b d h w -> b h w d
        return patches


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give tensors of a Swin transformer of timm 0.5 the names of today.

    A stage's downsampling was its last layer and is the next stage's first; two buffers are no longer saved.
    """
    return {
        re.sub(r"^layers\.(\d+)\.downsample\.", lambda found: f"layers.{int(found[1]) + 1}.downsample.", name): tensor
        for name, tensor in tensors.items()
        if name.rsplit(".", 1)[-1] not in _BUFFERS
    }
