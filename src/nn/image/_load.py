"""An encoder by name, place or module."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..._checks import check, is_count, is_flag, is_number
from ..._errors import FileError, OptionError
from ..._settings import settings
from ..._types import check_types
from .._device import choose_device
from ._bodies import POOLINGS, Body, body
from ._encoder import own
from ._exact import PRECISIONS
from ._loaded import MOST_PIXELS, Loaded
from ._pickles import Trust
from ._pixels import INTERPOLATIONS
from ._places import from_place
from ._table import ENCODERS, known, recipe, rows
from ._torch_encoder import Setup, TorchEncoder


def load_encoder(
    name: Any,
    *,
    pooling: str | None = None,
    device: str | None = None,
    precision: str | None = None,
    size: int | None = None,
    mpp: float | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    interpolation: str | None = None,
    options: Mapping[str, Any] | None = None,
    folder: str | Path | None = None,
    allow_pickle_weights: bool = False,
) -> Any:
    """Load an image encoder.

    Parameters
    ----------
    name
        A name of :func:`~histoscribe.nn.encoders`; any name of timm; ``hf-hub:owner/name`` (``@revision`` may follow);
        ``local-dir:folder`` in timm's layout or as :func:`~histoscribe.nn.convert_weights` wrote it;
        ``transformers:owner/name`` or ``transformers:folder`` of a vision transformer; a torch module; or an object with
        ``name``, ``size`` (pixels), ``mpp`` (um per pixel), ``sha256`` and a call from 8-bit RGB tiles
        (n, size, size, 3) to vectors (n, d).
    pooling
        ``"cls"`` (class token), ``"mean"`` (of patch tokens), ``"cls+mean"`` (both, side by side), ``"avg"`` (of a
        convolutional network's map) or ``"pooler"`` (the network's own); None for the encoder's default.
    device
        Where it runs; None for ``hs.settings.device``.
    precision
        ``"32"`` or ``"bf16"`` (half the time, vectors that differ in the third digit); None for
        ``hs.settings.precision``.
    size
        Side of its input in pixels, where another than its own is meant.
    mpp
        Scale it was made for, um per pixel; None for the table's, 0.5 where nothing is known.
    mean, std
        Of each channel from 0 to 1, where others than its own are meant; ImageNet's where nothing is known.
    interpolation
        ``"bicubic"`` or ``"bilinear"``, for tiles that are not of its size.
    options
        Passed to ``timm.create_model``, as in ``{"dynamic_img_size": True}``.
    folder
        Where the files of a named encoder lie that was downloaded elsewhere.
    allow_pickle_weights
        Whether weights may be read that are published as a pickle only (``pytorch_model.bin``). Reading a pickle can
        run code. This one is read with ``weights_only=True``, which takes tensors and plain values alone; that is a
        second line of defence, so trust whoever made the file. Where safetensors exist, they are taken.

    Returns
    -------
    An encoder: ``encoder(tiles)`` gives float32 vectors (n, ``dim``) and ``encoder.dense(tiles)`` the patch tokens
    (n, size // patch, size // patch, d). Its ``sha256`` changes with all that changes its numbers; ``record`` says where
    it comes from. Of your own module, layers, their options and the code of your classes count as well as the weights,
    but not functions and data that this code takes from elsewhere.

    Raises
    ------
    MissingError
        Nobody knows the name; the nearest are given.
    OfflineError
        The weights are not on disk and there is no network; known in under two seconds.
    FileError
        The weights are gated, broken, a pickle, not those that were recorded, or do not fit the network to the last
        tensor; or the folder brings code of its own, which is never run.
    OptionError
        An option that it can't have.

    Warns
    -----
    UserWarning
        The table knows no revision of it: what its name means may change.

    Examples
    --------
    >>> encoder = hs.nn.load_encoder("kaiko_s16", precision="bf16")
    >>> hs.tl.encode_image(adata, encoder)
    """
    check_types(load_encoder, locals())
    given = {"pooling": pooling, "mean": mean, "std": std, "interpolation": interpolation, "options": options}
    if folder is not None and not Path(folder).is_dir():
        raise FileError(str(folder), found="no such folder", expected="the encoder's files", fix="Check the path.")
    _check(given, device, precision, size, mpp)
    check("allow_pickle_weights", allow_pickle_weights, is_flag(allow_pickle_weights), "True or False")
    plain = known(name) if isinstance(name, str) else None
    check("folder", folder, folder is None or plain in rows(), "None but for names of hs.nn.encoders()")
    if plain is not None and plain not in rows():
        return recipe(plain, size=size, mpp=mpp, refused={**given, "device": device, "precision": precision})
    if not isinstance(name, (str, nn.Module)):
        return own(name, list(ENCODERS))
    at = "" if folder is None else f", folder={str(folder)!r}"
    trust = Trust(allow_pickle_weights, f"hs.nn.load_encoder({name!r}{at}, allow_pickle_weights=True)")
    loaded = from_place(name, plain, dict(options or {}), None if folder is None else Path(folder), trust)
    return _encoder(loaded, given, device=device, precision=precision, size=size, mpp=mpp)


def _check(given: Mapping[str, Any], device: str | None, precision: str | None, size: int | None, mpp: Any) -> None:
    if precision is not None:
        check("precision", precision, precision in PRECISIONS, f"one of {PRECISIONS}")
    if size is not None:
        check("size", size, is_count(size) and size <= MOST_PIXELS, f"a number of pixels up to {MOST_PIXELS}")
    if mpp is not None:
        check("mpp", mpp, is_number(mpp, 0.01, 100), "um per pixel, 0.01 to 100")
    if (pooling := given["pooling"]) is not None:
        check("pooling", pooling, pooling in POOLINGS, f"one of {POOLINGS}")
    if (how := given["interpolation"]) is not None:
        check("interpolation", how, how in INTERPOLATIONS, f"one of {INTERPOLATIONS}")
    for name in ("mean", "std"):
        if (values := given[name]) is not None:
            ok = len(values) == 3 and all(is_number(value, 0 if name == "mean" else 1e-6, 1) for value in values)
            check(name, values, ok, "three numbers from 0 to 1")
    choose_device(device)


def _encoder(
    loaded: Loaded, given: Mapping[str, Any], *, device: str | None, precision: str | None, size: int | None, mpp: Any
) -> TorchEncoder:
    network = body(loaded.module)
    for name in ("mean", "std", "interpolation"):
        setattr(loaded, name, given[name] or getattr(loaded, name))
    loaded.size = size or loaded.size
    loaded.check()
    _check_size(loaded.name, network, loaded.size)
    setup = Setup(
        name=loaded.name,
        size=loaded.size,
        mpp=float(mpp or loaded.mpp),
        mean=tuple(map(float, loaded.mean)),
        std=tuple(map(float, loaded.std)),
        interpolation=loaded.interpolation,
        pooling=_pooling(loaded, network, given["pooling"]),
        precision=precision or settings.precision,
        weights=loaded.weights,
        built=loaded.built,
        origin=loaded.origin,
    )
    return TorchEncoder(network, setup, choose_device(device))


def _pooling(loaded: Loaded, network: Body, wanted: str | None) -> str:
    chosen = wanted or loaded.pooling or network.default
    check("pooling", chosen, chosen in network.poolings, f"one of {network.poolings} for {loaded.name}")
    return chosen


def _check_size(name: str, network: Body, size: int) -> None:
    if network.fixed_size is not None and network.fixed_size != size:
        fix = "Leave size= out, or, for a vision transformer of timm, pass options={'dynamic_img_size': True}."
        found = f"{size}: the positions of {name} are for {network.fixed_size} px"
        raise OptionError("size", found=found, expected=str(network.fixed_size), fix=fix)
    if network.patch is not None and size % network.patch:
        fix = f"Pass size={size // network.patch * network.patch}."
        raise OptionError("size", found=str(size), expected=f"a multiple of its patch, {network.patch}", fix=fix)
