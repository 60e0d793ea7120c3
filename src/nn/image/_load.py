"""An encoder by name, place or module."""

import copy
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from ..._checks import check, is_count, is_number
from ..._errors import FileError, OptionError
from ..._settings import settings
from .._device import choose_device
from . import _timm, _transformers
from ._bodies import POOLINGS, Body, body
from ._encoder import own
from ._exact import PRECISIONS
from ._hub import WEIGHTS, snapshot
from ._loaded import Loaded
from ._pixels import INTERPOLATIONS
from ._table import ENCODERS, NORMS, Row, known, recipe, rows
from ._torch_encoder import Setup, TorchEncoder

_HUB, _LOCAL, _TRANSFORMERS = "hf-hub:", "local-dir:", "transformers:"


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

    Returns
    -------
    An encoder: ``encoder(tiles)`` gives float32 vectors (n, ``dim``) and ``encoder.dense(tiles)`` the patch tokens
    (n, size // patch, size // patch, d). Its ``sha256`` changes with all that changes its numbers; ``record`` says where
    it comes from.

    Raises
    ------
    MissingError
        Nobody knows the name; the nearest are given.
    OfflineError
        The weights are not on disk and there is no network; known in under two seconds.
    FileError
        The weights are gated, broken, not those that were recorded, or do not fit the network to the last tensor.
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
    given = {"pooling": pooling, "mean": mean, "std": std, "interpolation": interpolation, "options": options}
    if folder is not None and not Path(folder).is_dir():
        raise FileError(str(folder), found="no such folder", expected="the encoder's files", fix="Check the path.")
    _check(given, device, precision, size, mpp)
    plain = known(name) if isinstance(name, str) else None
    check("folder", folder, folder is None or plain in rows(), "None but for names of hs.nn.encoders()")
    if plain is not None and plain not in rows():
        return recipe(plain, size=size, mpp=mpp, refused={**given, "device": device, "precision": precision})
    if not isinstance(name, (str, nn.Module)):
        return own(name, list(ENCODERS))
    loaded = _loaded(name, plain, dict(options or {}), None if folder is None else Path(folder))
    return _encoder(loaded, given, device=device, precision=precision, size=size, mpp=mpp)


def _check(given: Mapping[str, Any], device: str | None, precision: str | None, size: int | None, mpp: Any) -> None:
    if precision is not None:
        check("precision", precision, precision in PRECISIONS, f"one of {PRECISIONS}")
    if size is not None:
        check("size", size, is_count(size), "a number of pixels")
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


def _loaded(name: str | nn.Module, plain: str | None, options: dict[str, Any], folder: Path | None) -> Loaded:
    if isinstance(name, nn.Module):
        module = copy.deepcopy(name)  # the user's stays where and as it is, and may be trained on
        if hasattr(module, "config") and hasattr(module.config, "model_type"):
            return _transformers.from_module(module, None)
        return _timm.from_module(module, None)
    if plain is not None:
        return _from_row(rows()[plain], options, folder)
    if name.startswith((_HUB, "hf_hub:")):
        return _from_hub(name[len(_HUB) :], options)
    if name.startswith(_LOCAL):
        return _from_folder(Path(name[len(_LOCAL) :]), options)
    if name.startswith(_TRANSFORMERS):
        place = name[len(_TRANSFORMERS) :]
        if Path(place).is_dir():
            return _transformers.from_folder(Path(place), options)
        return _from_hub(place, options, transformers=True)
    if Path(name).is_dir():
        expected = "a name, or a place with what it is"
        raise OptionError("encoder", found=f"the folder {name!r}", expected=expected, fix=f"Write 'local-dir:{name}'.")
    if "/" in name:
        fix = f"Write 'hf-hub:{name}' for a repository of Hugging Face, 'local-dir:{name}' for a folder."
        raise OptionError("encoder", found=repr(name), expected="a name, or a place with what it is", fix=fix)
    return _timm.from_name(name, options)


def _from_folder(folder: Path, options: Mapping[str, Any]) -> Loaded:
    if not folder.is_dir():
        fix = "Check the path; it is relative to the working directory."
        raise FileError(f"{_LOCAL}{folder}", found="no such folder", expected="a model's folder", fix=fix)
    if "model_type" in _timm.read_config(folder):
        return _transformers.from_folder(folder, options)
    return _timm.from_folder(folder, options)


def _from_hub(place: str, options: Mapping[str, Any], *, transformers: bool = False, row: Row | None = None) -> Loaded:
    repo, _, revision = place.partition("@")
    revision = revision or (row.revision if row and row.pinned else "")
    wanted = (_transformers.PROCESSOR,) if transformers else ()
    kind = "transformers" if transformers else "local-dir"
    again = f"call hs.nn.load_encoder({row.name!r}, folder='FOLDER')" if row else f"load '{kind}:FOLDER'"
    needed = [("config.json",), WEIGHTS]
    folder = snapshot(repo, needed, revision=revision or None, wanted=wanted, again=again)
    if transformers:
        loaded = _transformers.from_folder(folder, options)
    else:
        loaded = _timm.from_folder(folder, options, row.architecture if row else None)
    loaded.name = repo
    loaded.origin = {"source": f"{_TRANSFORMERS if transformers else _HUB}{repo}", "revision": folder.name}
    return loaded


def _from_row(row: Row, options: Mapping[str, Any], folder: Path | None) -> Loaded:
    if row.loadable == "no":
        expected = "an encoder that runs without its repository's code"
        raise OptionError(
            "encoder", found=f"{row.name!r}, which is only named here", expected=expected, fix=row.instead
        )
    if row.loadable == "convert":
        fix = (
            f"Download {row.source.removeprefix('file:')}, run hs.nn.convert_weights(path, 'folder', architecture="
            f"{row.name!r}) and load 'local-dir:folder'."
        )
        raise FileError(
            row.name, found="an encoder that is published as a pickle", expected="converted weights", fix=fix
        )
    if not row.pinned and folder is None:
        msg = f"{row.name} is unpinned: no revision of {row.source} is known to us, so what it means may change"
        warnings.warn(msg, UserWarning, stacklevel=4)
    kind, _, repo = row.source.partition(":")
    wished = {**row.options, **options}
    if folder is None:
        loaded = _from_hub(repo, wished, transformers=kind == "transformers", row=row)
    elif kind == "transformers":
        loaded = _transformers.from_folder(folder, wished)
    else:
        loaded = _timm.from_folder(folder, wished, row.architecture)
    _timm.check_hash(Path(repo), loaded.weights, row.sha256)
    return described(loaded, row)


def described(loaded: Loaded, row: Row) -> Loaded:
    """Let the table have the last word on what a source says of itself."""
    loaded.name, loaded.size, loaded.mpp, loaded.interpolation = row.name, row.size, row.mpp, row.interpolation
    loaded.pooling = row.poolings[0]
    if row.norm is not None:
        loaded.mean, loaded.std = NORMS[row.norm]
    loaded.origin |= {"licence": row.licence, "gated": row.gated, "pinned": row.pinned and "revision" in loaded.origin}
    return loaded


def _encoder(
    loaded: Loaded, given: Mapping[str, Any], *, device: str | None, precision: str | None, size: int | None, mpp: Any
) -> TorchEncoder:
    network = body(loaded.module)
    side = size or loaded.size
    _check_size(loaded.name, network, side)
    setup = Setup(
        name=loaded.name,
        size=side,
        mpp=float(mpp or loaded.mpp),
        mean=tuple(map(float, given["mean"] or loaded.mean)),
        std=tuple(map(float, given["std"] or loaded.std)),
        interpolation=given["interpolation"] or loaded.interpolation,
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
