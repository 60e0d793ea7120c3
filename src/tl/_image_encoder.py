"""The encoder that a user names or brings, ready to be called."""

from typing import Any

from .._errors import OptionError

_OWN = ("name", "size", "mpp", "sha256", "__call__")


def encoder_of(encoder: Any, *, pooling: str | None, device: str | None, precision: str | None) -> Any:
    """Load what is named; take an object as it is, and check that it can do what is asked."""
    options: dict[str, Any] = {
        "pooling": None if pooling == "dense" else pooling,
        "device": device,
        "precision": precision,
    }
    if hasattr(getattr(encoder, "module", None), "encoder"):  # a model that learned from pixels
        loaded = encoder.module.encoder(device, precision)
    elif isinstance(encoder, (str, type)) or not all(hasattr(encoder, name) for name in _OWN):
        from ..nn.image import load_encoder

        loaded = load_encoder(encoder, **options)
    else:
        loaded = _unchanged(encoder, options)
    if pooling == "dense" and not (hasattr(loaded, "dense") and getattr(loaded, "patch", None)):
        fix = "Leave pooling= out, or take a vision transformer."
        raise OptionError("pooling", found=f"'dense' for {loaded.name}", expected="a model with patch tokens", fix=fix)
    return loaded


def _unchanged(encoder: Any, options: dict[str, Any]) -> Any:
    """Refuse to change an encoder that was made before."""
    for name, value in options.items():
        if value is not None:
            fix = f"Leave it out, or make the encoder with hs.nn.load_encoder(..., {name}={value!r})."
            raise OptionError(name, found=f"{value!r} for an encoder object", expected="None: it has its own", fix=fix)
    return encoder
