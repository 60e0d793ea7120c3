"""A vision transformer that reads one token more than its own, for models that learn from pixels."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..._errors import OptionError
from ._bodies import Body, body

_BLOCKS = ("blocks", "vision_model.encoder.layers", "encoder.layers", "encoder.layer", "layers", "layer")


class Seen(NamedTuple):
    """What a vision transformer says of images: vectors (n, d), those at the token added (n, d), patch tokens (n, t, d)."""

    vectors: Tensor
    added: Tensor
    patches: Tensor


class Trunk(nn.Module):
    """A network of timm or transformers, with a token added before its first block.

    The token comes after the class token and the registers, and after positions were added, so that it stands nowhere.

    Parameters
    ----------
    network
        The vision transformer.
    size
        Side of its input, pixels.

    Raises
    ------
    OptionError
        It has no patch tokens, fewer than three a side, or turns them by their position as it goes (rotary embedding).
    """

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network, self.size = network, size
        held = body(network)
        side = 0 if held.patch is None else size // held.patch
        if side < 3 or _rotary(network) or self._first_block() is None or self._projection() is None:
            what = "rotary positions" if _rotary(network) else f"{side} patch tokens a side"
            fix = "Take a vision transformer with learned positions, such as vit_small_patch16_224 or kaiko_s16."
            expected = "a vision transformer with 3 patch tokens a side or more"
            raise OptionError("Contrastive.encoder", found=what, expected=expected, fix=fix)
        self.width, self.patch = held.width, held.patch or size

    @property
    def _body(self) -> Body:
        return body(self.network)

    @property
    def depth(self) -> int:
        """Number of blocks."""
        return len(self._blocks()[1])

    def forward(self, pixels: Tensor, token: Tensor) -> Seen:
        """Read normalised pixels (n, 3, size, size) together with a token (n, d)."""
        held = self._body
        first = held.special
        with _added(self._blocks()[1][0], token, first):
            tokens = held.tokens(pixels).float()  # type: ignore[misc]
        patches = tokens[:, first + 1 :]
        vectors = tokens[:, 0] if held.has_class else patches.mean(dim=1)
        return Seen(vectors, tokens[:, first], patches)

    def embed_thumbnail(self, pixels: Tensor) -> Tensor:
        """Vectors (n, d) of images, shrunk to one patch, as the network's first layer makes them of a patch."""
        small = F.interpolate(pixels, (self.patch, self.patch), mode="area")
        projection: Any = self._projection()
        embedded: Tensor = projection(small)
        return embedded.flatten(1)

    def layer_of(self, name: str) -> int:
        """Tell the layer that a parameter of the network belongs to: 0 before the blocks, depth + 1 after them."""
        place, blocks = self._blocks()
        rest = name.removeprefix(f"{place}.")
        if rest != name:
            return 1 + int(rest.partition(".")[0])
        return len(blocks) + 1 if "norm" in name and "pre" not in name else 0

    def linear_layers(self) -> list[str]:
        """Names of the linear layers in the blocks."""
        place, blocks = self._blocks()
        return [f"{place}.{name}" for name, one in blocks.named_modules() if isinstance(one, nn.Linear)]

    def _blocks(self) -> tuple[str, Any]:
        for place in _BLOCKS:
            found: Any = self.network
            for part in place.split("."):
                found = getattr(found, part, None)
            if isinstance(found, nn.ModuleList | nn.Sequential) and len(found):
                return place, found
        return "", nn.ModuleList()

    def _first_block(self) -> nn.Module | None:
        return next(iter(self._blocks()[1]), None)

    def _projection(self) -> nn.Module | None:
        """Convolution that makes tokens of patches."""
        patch = body(self.network).patch
        for layer in self.network.modules():
            if isinstance(layer, nn.Conv2d) and layer.kernel_size == layer.stride == (patch, patch):
                return layer
        return None


def _rotary(network: Any) -> bool:
    return getattr(network, "rope", None) is not None or hasattr(network, "rope_embeddings")


@contextmanager
def _added(block: nn.Module, token: Tensor, place: int) -> Iterator[None]:
    """Put a token in a place of the sequence that a block is given."""

    def add(_: nn.Module, args: Any, kwargs: Any) -> Any:
        x = args[0] if args else kwargs["hidden_states"]
        x = torch.cat([x[:, :place], token[:, None].to(x.dtype), x[:, place:]], dim=1)
        return ((x, *args[1:]), kwargs) if args else (args, {**kwargs, "hidden_states": x})

    handle = block.register_forward_pre_hook(add, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
