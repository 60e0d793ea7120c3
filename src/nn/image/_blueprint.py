"""A network in plain values: enough to build it again, empty, where its weights lie beside a model's own."""

import ast
from collections.abc import Mapping
from typing import Any

from torch import nn

from ..._errors import OptionError
from .._seed import seeded
from ._load import load_encoder
from ._table import known, rows
from ._timm import check_options, resolved
from ._torch_encoder import TorchEncoder
from ._transformers import numbers_of


def load_network(name: str, *, pretrained: bool, options: Mapping[str, Any], random_state: int) -> TorchEncoder:
    """Load an encoder by name; or, of a timm name, one with random weights.

    Raises
    ------
    OptionError
        The name is that of an encoder without weights, or random weights are asked for of what is no timm name.
    """
    if not pretrained:
        import timm

        if not timm.is_model(name.split(".")[0]):
            fix = "Random weights need a name of timm, such as encoder='vit_tiny_patch16_224'; see timm.list_models('vit*')."
            raise OptionError("Contrastive.encoder", found=repr(name), expected="a timm name", fix=fix)
        check_options(options, "Contrastive.encoder_options")
        try:
            with seeded(random_state):
                network = timm.create_model(name, pretrained=False, num_classes=0, **resolved(options))
        except (TypeError, AssertionError) as error:
            fix = "Pass what timm.create_model takes for it."
            expected = f"options of {name}"
            raise OptionError("Contrastive.encoder_options", found=str(error), expected=expected, fix=fix) from error
        encoder: Any = load_encoder(network, device="cpu", precision="32")
        encoder.setup.built.update(architecture=name, options=dict(options))
    elif known(name) is not None and known(name) not in rows():
        fix = "Take a vision transformer, or mode='cached' for vectors that hs.tl.encode_image made."
        raise OptionError("Contrastive.encoder", found=repr(name), expected="an encoder with weights", fix=fix)
    else:
        encoder = load_encoder(name, options=dict(options) or None, device="cpu", precision="32")
    encoder.module.requires_grad_(requires_grad=True)
    found: TorchEncoder = encoder
    return found


def blueprint(encoder: TorchEncoder) -> dict[str, Any]:
    """Describe an encoder's network and its input in plain values."""
    setup = encoder.setup
    network: Any = encoder.module
    said: dict[str, Any] = {
        "name": setup.name,
        "size": setup.size,
        "mpp": setup.mpp,
        "mean": list(setup.mean),
        "std": list(setup.std),
        "interpolation": setup.interpolation,
        "origin": {key: value for key, value in setup.origin.items() if isinstance(value, str | bool)},
        "weights_sha256": setup.weights,
    }
    if hasattr(network, "config") and hasattr(network.config, "model_type"):
        return {**said, "kind": type(network).__name__, "config": _plain(network.config.to_dict())}
    options = {key: _value(value) for key, value in setup.built["options"].items()}
    size = getattr(getattr(network, "patch_embed", None), "img_size", None)
    return {
        **said,
        "kind": "timm",
        "architecture": str(setup.built["architecture"]).split(".")[0],
        "options": options | ({} if size is None else {"img_size": list(size)}),
    }


def rebuild(said: Mapping[str, Any]) -> nn.Module:
    """Build a network that :func:`blueprint` described, with weights that are then to be filled in."""
    if said["kind"] == "timm":
        import timm

        check_options(said["options"], "meta")
        network: nn.Module = timm.create_model(
            said["architecture"], pretrained=False, num_classes=0, **resolved(said["options"])
        )
        return network
    import transformers

    described = numbers_of(said["config"], "meta")
    config: Any = transformers.CONFIG_MAPPING[described["model_type"]].from_dict(described)
    clip = described["model_type"] == "clip_vision_model"  # the image's tower alone, with its projection
    kind: Any = transformers.CLIPVisionModelWithProjection if clip else transformers.MODEL_MAPPING[type(config)]
    made: nn.Module = kind(config)
    return made


def _value(text: Any) -> Any:
    """Value that was written down as text."""
    try:
        return ast.literal_eval(text) if isinstance(text, str) else text
    except (ValueError, SyntaxError):
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)
