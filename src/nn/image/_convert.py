"""Foreign checkpoints into hashed safetensors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..._checks import check, is_flag, is_number
from ..._errors import FileError, OptionError
from ..._files import sha256
from ..._types import check_types
from .._save import write_folder
from ._pickles import Trust, check_plain
from ._table import NORMS, Row, known, rows, unknown
from ._timm import build
from ._weights import read_weights

_NESTS = ("state_dict", "model", "teacher", "model_state_dict", "student", "net", "backbone")
_PREFIXES = ("module.", "_orig_mod.", "backbone.", "teacher.", "encoder.", "model.")


def convert_weights(
    path: str | Path,
    folder: str | Path,
    *,
    architecture: str,
    options: Mapping[str, Any] | None = None,
    mpp: float | None = None,
    mean: tuple[float, float, float] | None = None,
    std: tuple[float, float, float] | None = None,
    allow_pickle_weights: bool = False,
) -> str:
    """Turn a checkpoint that others wrote into a folder that :func:`~histoscribe.nn.load_encoder` loads.

    Safetensors are read as they are; other files are pickles and are read only where you allow it. Wrappers ("model", "state_dict",
    "module." and the like) are taken off, the names of older versions of timm and of DINOv2 are brought up to date, and
    the tensors must then be exactly those of the architecture, but for a classifier, which is left out.

    Parameters
    ----------
    path
        The checkpoint: ``.pth``, ``.pt``, ``.bin``, ``.ckpt`` or ``.safetensors``.
    folder
        Where to write ``config.json`` and ``model.safetensors``; a model there is replaced.
    architecture
        A name of :func:`~histoscribe.nn.encoders` such as ``"ctranspath"`` or ``"gpfm"``, which brings all else along; or
        any name of timm.
    options
        Passed to ``timm.create_model``.
    mpp
        Scale it was made for, um per pixel; 0.5 where neither you nor the table says it.
    mean, std
        Of each channel from 0 to 1; ImageNet's where neither you nor the table says them.
    allow_pickle_weights
        Whether ``path`` may be a pickle: all but ``.safetensors`` are. Reading a pickle can run code. This one is read
        with ``weights_only=True``, which takes tensors and plain values alone; that is a second line of defence, so
        trust whoever made the file.

    Returns
    -------
    Hash (sha256) of the weights that were written. The hashes of both files are in ``config.json``.

    Raises
    ------
    FileError
        The file is broken, a pickle, holds code, or does not fit the architecture to the last tensor; nothing is written.
    MissingError
        No such architecture.

    Examples
    --------
    >>> hs.nn.convert_weights("ctranspath.pth", "ctranspath", architecture="ctranspath", allow_pickle_weights=True)
    >>> encoder = hs.nn.load_encoder("local-dir:ctranspath")
    """
    check_types(convert_weights, locals())
    check("mpp", mpp, mpp is None or is_number(mpp, 1e-3), "um per pixel")
    check("allow_pickle_weights", allow_pickle_weights, is_flag(allow_pickle_weights), "True or False")
    path = Path(path)
    row = _row(architecture)
    row = Row(**{**vars(row), "options": {**row.options, **(options or {})}, "mpp": mpp or row.mpp})
    said = f"hs.nn.convert_weights({str(path)!r}, {str(folder)!r}, architecture={architecture!r}, "
    tensors = unwrapped(read_weights(path, Trust(allow_pickle_weights, f"{said}allow_pickle_weights=True)")), str(path))
    check_plain(tensors, path)
    module = build(row.architecture or row.name, None, row.options, tensors, str(path))
    norm = NORMS[row.norm or "imagenet"]
    config = _config(row, (mean or norm[0], std or norm[1]))
    noted = {"name": row.name, "mpp": row.mpp, "pooling": row.poolings[0], "licence": row.licence}
    held = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
    digest = _hash(held)
    noted |= {"source_sha256": sha256(path), "sha256": digest}
    write_folder(folder, held, {**config, "histoscribe": noted})
    return digest


def unwrapped(held: Any, source: str) -> dict[str, Tensor]:
    """Tensors of a checkpoint by the names that they have in the network, without what was wrapped around it."""
    while isinstance(held, Mapping) and (nest := next((n for n in _NESTS if isinstance(held.get(n), Mapping)), None)):
        held = held[nest]
    tensors = {str(k): v for k, v in held.items() if isinstance(v, Tensor)} if isinstance(held, Mapping) else {}
    if not tensors:
        found = f"{type(held).__name__} {list(held)[:5] if isinstance(held, Mapping) else ''}".strip()
        fix = "Save the network's state_dict() into a file."
        raise FileError(source, found=f"no tensors: {found}", expected="a state dict", fix=fix)
    while prefix := next((p for p in _PREFIXES if any(name.startswith(p) for name in tensors)), None):
        # What does not have it beside what has it (a projection head, a student) is no part of the network.
        tensors = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
    return tensors


def _row(architecture: str) -> Row:
    import timm

    plain = known(architecture)
    if plain is None or plain not in rows():
        if not timm.is_model(architecture.split(".")[0]):
            raise unknown(architecture, timm.list_models())
        name = architecture.split("/")[-1]
        return Row(name=name, source="file:", architecture=architecture, poolings=("",), licence="as of its source")
    row = rows()[plain]
    if row.loadable != "convert":
        fix = "Load it by name, or name the architecture as timm does."
        raise OptionError("architecture", found=repr(plain), expected="one that is published as a file", fix=fix)
    return row


def _config(row: Row, norm: tuple[tuple[float, ...], tuple[float, ...]]) -> dict[str, Any]:
    """Lay the configuration out as timm does."""
    size = int(row.options.get("img_size", row.size))
    data = {"input_size": [3, size, size], "mean": list(norm[0]), "std": list(norm[1])}
    data |= {"interpolation": row.interpolation, "crop_pct": 1.0, "num_classes": 0}
    config = {"architecture": row.architecture, "num_classes": 0, "model_args": dict(row.options)}
    return {**config, "pretrained_cfg": data}


def _hash(tensors: Mapping[str, Tensor]) -> str:
    import hashlib

    import safetensors.torch as st

    return hashlib.sha256(st.save(dict(tensors))).hexdigest()
