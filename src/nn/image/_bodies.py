"""What a network must answer to be an encoder: its tokens, its own pooled vector, and what they mean."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..._errors import OptionError

POOLINGS = ("cls", "mean", "cls+mean", "avg", "pooler")
_VITS = ("vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit", "clip", "clip_vision_model", "ijepa")
_ANY_SIZE = ("dinov2", "dinov2_with_registers", "dinov3_vit")  # transformers resamples their positions by itself


@dataclass(frozen=True, kw_only=True)
class Body:
    """A network and how to read it.

    Parameters
    ----------
    module
        The network.
    pooled
        Its own vector of each input (n, d).
    tokens
        All its tokens after the final norm (n, t, d), the special ones first; None where it has none.
    patch
        Side of a patch token in pixels.
    special
        Tokens before the patches: class, registers.
    has_class
        Whether the first of them is a class token.
    own
        Name of ``pooled`` as a pooling, None where another is the same.
    default
        Pooling to take where nobody says which.
    width
        Width of the tokens, 0 if there are none.
    fixed_size
        Side of the only input that it takes; None for any.
    """

    module: nn.Module
    pooled: Callable[[Tensor], Tensor]
    tokens: Callable[[Tensor], Tensor] | None = None
    patch: int | None = None
    special: int = 0
    has_class: bool = False
    own: str | None = "avg"
    default: str = "avg"
    width: int = 0
    fixed_size: int | None = None

    @property
    def poolings(self) -> tuple[str, ...]:
        """Poolings that it can do."""
        can = {"cls": self.has_class, "mean": self.patch, "cls+mean": self.has_class and self.patch}
        return tuple(name for name in POOLINGS if can.get(name) or name == self.own)

    def vectors(self, pixels: Tensor, pooling: str) -> Tensor:
        """Vectors (n, d) float32 of normalised pixels."""
        if pooling == self.own:
            return self.pooled(pixels).float()
        tokens = self._tokens(pixels)
        first, mean = tokens[:, 0], tokens[:, self.special :].mean(dim=1)
        return {"cls": first, "mean": mean}[pooling] if "+" not in pooling else torch.cat([first, mean], dim=1)

    def dense(self, pixels: Tensor) -> Tensor:
        """Patch tokens (n, h, w, d) float32: b (h w) d -> b h w d, rows from the top."""
        rows, columns = (side // (self.patch or 1) for side in pixels.shape[-2:])
        return self._tokens(pixels)[:, self.special :].unflatten(1, (rows, columns))

    def _tokens(self, pixels: Tensor) -> Tensor:
        if self.tokens is None:  # callers ask for poolings that it has
            raise TypeError("a network without tokens")
        return self.tokens(pixels).float()  # means and norms in float32 whatever the network computes in


def body(module: nn.Module) -> Body:
    """Recognise a timm model, a transformer of transformers, or else any module from images to vectors."""
    if hasattr(module, "pretrained_cfg") and hasattr(module, "forward_head"):
        return _timm(module)
    if hasattr(module, "config") and hasattr(module.config, "model_type"):
        return _transformers(module)
    return Body(module=module, pooled=lambda pixels: _flat(module(pixels)))


def _flat(out: Any) -> Tensor:
    if not isinstance(out, Tensor) or out.ndim not in (2, 4):
        found = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        fix = "Wrap the module in one whose forward returns a vector an image."
        raise OptionError("encoder", found=f"a module that returns {found}", expected="a tensor (n, d)", fix=fix)
    return out if out.ndim == 2 else out.mean(dim=(2, 3))


def _timm(module: Any) -> Body:
    def pooled(pixels: Tensor) -> Tensor:
        head: Tensor = module.forward_head(module.forward_features(pixels), pre_logits=True)
        return head.flatten(1)

    embed: Any = getattr(module, "patch_embed", None)
    strict = getattr(embed, "strict_img_size", False)
    fixed = int(embed.img_size[0]) if strict and getattr(embed, "img_size", None) else None
    if not hasattr(module, "num_prefix_tokens") or getattr(embed, "patch_size", None) is None:
        return Body(module=module, pooled=pooled, fixed_size=fixed)

    late = getattr(module, "fc_norm", None) or nn.Identity()  # models pooled by their mean are normed after it

    def tokens(pixels: Tensor) -> Tensor:
        found: Tensor = late(module.forward_features(pixels))
        return found

    has_class = getattr(module, "cls_token", None) is not None
    pool = getattr(module, "global_pool", "")
    itself = pool not in ("", "token") and (pool != "avg" or not isinstance(late, nn.Identity))
    default = "pooler" if itself else "cls" if has_class and pool != "avg" else "mean"
    return Body(
        module=module,
        pooled=pooled,
        tokens=tokens,
        patch=int(embed.patch_size[0]),
        special=int(module.num_prefix_tokens),
        has_class=has_class,
        own="pooler" if itself else None,
        default=default,
        width=int(module.embed_dim),
        fixed_size=fixed,
    )


def check_kind(kind: str) -> None:
    """Refuse kinds of transformers that are no vision transformers."""
    if kind not in _VITS:
        fix = "Pass a module of your own that returns vectors (n, d)."
        raise OptionError("encoder", found=f"a {kind} of transformers", expected=f"one of {_VITS}", fix=fix)


def _transformers(module: Any) -> Body:
    config = getattr(module.config, "vision_config", module.config)
    check_kind(module.config.model_type)
    vision = getattr(module, "vision_model", module)
    late = getattr(vision, "post_layernorm", None) or nn.Identity()  # CLIP norms the class token alone

    def tokens(pixels: Tensor) -> Tensor:
        found: Tensor = late(module(pixel_values=pixels).last_hidden_state)
        return found

    def pooled(pixels: Tensor) -> Tensor:
        out = module(pixel_values=pixels)
        vectors: Tensor = out.image_embeds if hasattr(module, "visual_projection") else out.pooler_output
        return vectors

    projects = hasattr(module, "visual_projection")
    has_pooler = projects or getattr(module, "pooler", None) is not None
    return Body(
        module=module,
        pooled=pooled,
        tokens=tokens,
        patch=int(config.patch_size),
        special=0 if config.model_type == "ijepa" else 1 + int(getattr(config, "num_register_tokens", 0)),
        has_class=config.model_type != "ijepa",
        own="pooler" if has_pooler else None,
        default="pooler" if projects else "mean" if config.model_type == "ijepa" else "cls",
        width=int(config.hidden_size),
        fixed_size=None if config.model_type in _ANY_SIZE else int(config.image_size),
    )
