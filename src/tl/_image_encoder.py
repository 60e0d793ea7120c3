"""The encoder that a user names or brings, ready to be called."""

from typing import Any

from .._checks import check
from .._errors import OptionError
from ..nn import Model

_OWN = ("name", "size", "mpp", "sha256", "__call__")


def encoder_of(encoder: Any, *, pooling: str | None, device: str | None, precision: str | None) -> Any:
    """Load what is named; take an object as it is, and check that it can do what is asked."""
    options: dict[str, Any] = {
        "pooling": None if pooling == "dense" else pooling,
        "device": device,
        "precision": precision,
    }
    if isinstance(encoder, Model):
        loaded = _of_model(encoder, pooling, device, precision)
    elif isinstance(encoder, (str, type)) or not all(hasattr(encoder, name) for name in _OWN):
        from ..nn.image import load_encoder

        loaded = load_encoder(encoder, **options)
    else:
        loaded = _unchanged(encoder, options)
    if pooling == "dense" and not (hasattr(loaded, "dense") and getattr(loaded, "patch", None)):
        fix = "Leave pooling= out, or take a vision transformer."
        raise OptionError("pooling", found=f"'dense' for {loaded.name}", expected="a model with patch tokens", fix=fix)
    return loaded


def _of_model(model: Model, pooling: str | None, device: str | None, precision: str | None) -> Any:
    """Take the encoder that a model trained."""
    if not hasattr(model.module, "encoder"):
        fix = "Name an encoder of hs.nn.encoders(), or a model of hs.nn.Contrastive(mode='pixels')."
        expected = "a model that learned from pixels"
        raise OptionError("encoder", found=f"a model of {model.name} on vectors", expected=expected, fix=fix)
    if pooling is not None:
        fix = "Leave it out: the model has one vector a tile, that it was trained with."
        raise OptionError("pooling", found=f"{pooling!r} for a trained model", expected="None", fix=fix)
    check("precision", precision, precision in (None, "32", "bf16"), "'32', 'bf16' or None")
    return model.module.encoder(device, precision)


def _unchanged(encoder: Any, options: dict[str, Any]) -> Any:
    """Refuse to change an encoder that was made before."""
    for name, value in options.items():
        if value is not None:
            fix = f"Leave it out, or make the encoder with hs.nn.load_encoder(..., {name}={value!r})."
            raise OptionError(name, found=f"{value!r} for an encoder object", expected="None: it has its own", fix=fix)
    return encoder
