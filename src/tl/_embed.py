"""Embedding: what a fusion model says of each spot."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from .._keys import Keys, Slot, valid
from .._record import AnnDatas, Targets, has, write
from .._types import check_types
from ..nn import Model
from ..nn._data import Batch
from ..nn._device import choose_device
from ._loaders import gather, parts
from ._made_by import made_by

_CHUNK = 8192
_MODALITIES = {"image": Keys.X_IMAGE, "genes": Keys.X_GENES}
_JOINT = {"image": Keys.X_FUSED_IMAGE, "genes": Keys.X_FUSED_GENES}


def embed(
    adata: AnnDatas,
    model: Model,
    *,
    modality: str = "both",
    image_rep: str | None = None,
    gene_rep: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.X_FUSED,
    device: str | None = None,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write the vectors of a fusion model for sections, seen in training or not.

    Parameters
    ----------
    adata
        A section, or a list of them.
    model
        From :func:`fuse`.
    modality
        ``"both"``: one vector of both; the half of a modality that a spot lacks is predicted from the other.
        ``"image"`` or ``"genes"``: that modality alone, in the joint space; the other's slot is not needed.
    image_rep, gene_rep
        Slots with image and gene vectors; those of training where left out.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Slot to write.
    device
        Name of a torch device.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes, for ``"both"``, ``obsm["X_fused"]`` and, of the modalities that are there,
    ``obsm["X_fused_image"]`` and ``obsm["X_fused_genes"]``; for ``"image"`` or ``"genes"``, its own of these alone.
    Each has its ``obs["<key>_valid"]``; rows without a result are zero.

    Raises
    ------
    MissingError
        A slot is missing.
    OptionError
        Unknown modality, or vectors of another encoder than in training.

    Warns
    -----
    UserWarning
        ``"both"`` was asked for and a slot is missing: its half is predicted for all spots.

    Examples
    --------
    >>> hs.tl.embed(new_slide, model, modality="image")
    """
    check_types(embed, locals())
    if modality not in ("both", *_MODALITIES):
        expected = "'both', 'image' or 'genes'"
        raise OptionError("modality", found=repr(modality), expected=expected, fix="Choose one of these.")
    _check_fusion(model)
    targets = Targets(adata, copy=copy)
    sections = list(targets)
    slots = _slots(sections, model, {"image": image_rep, "genes": gene_rep}, modality)
    batch = gather(sections, slots, sizes=model.meta["sizes"], library_key=library_key)
    write_vectors(sections, model, batch, modality, Keys.X_FUSED.renamed(key_added), by="tl.embed", device=device)
    return targets.result()


def joint_vectors(
    adatas: Sequence[AnnData],
    model: Model,
    modality: str,
    *,
    image_rep: str | None = None,
    gene_rep: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    device: str | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of one modality in the joint space, as :func:`embed` makes them, and which rows hold one; none is written."""
    _check_fusion(model)
    slots = _slots(adatas, model, {"image": image_rep, "genes": gene_rep}, modality)
    batch = gather(adatas, slots, sizes=model.meta["sizes"], library_key=library_key)
    x = _run(model, batch, modality, device)
    return x, _valid(batch, modality) & np.isfinite(x).all(axis=1)


def _check_fusion(model: Model) -> None:
    if "slots" not in getattr(model, "meta", {}):
        found = getattr(model, "name", type(model).__name__)
        raise OptionError("model", found=found, expected="a fusion model", fix="Pass what hs.tl.fuse returned.")


def _slots(
    adatas: Sequence[AnnData], model: Model, named: Mapping[str, str | None], modality: str
) -> dict[str, Slot | None]:
    """Slot to read for each modality: None where it is not needed, or where it may be predicted."""
    slots: dict[str, Slot | None] = {}
    for name, used in model.meta["slots"].items():
        slot = _MODALITIES.get(name, Keys.SCORES).renamed(named.get(name) or used)
        there = all(has(one, slot) for one in adatas)
        wanted = modality in ("both", name)
        slots[name] = slot if wanted and (there or modality == name or named.get(name)) else None
        if slots[name] is not None and there:
            _check_encoder(adatas, model, name, slot)
    lacking = [name for name, slot in slots.items() if slot is None]
    if modality == "both" and lacking:
        if len(lacking) == len(slots):
            found = f"none of {list(model.meta['slots'].values())}"
            fix = "Run hs.tl.encode_image(...) or hs.tl.encode_genes(...) first."
            raise MissingError("obsm", found=found, expected="at least one of them", fix=fix)
        msg = f"{', '.join(lacking)}: no vectors in obsm; that half of {Keys.X_FUSED!s} is predicted for all spots"
        warnings.warn(msg, UserWarning, stacklevel=3)
    return slots


def _check_encoder(adatas: Sequence[AnnData], model: Model, modality: str, slot: Slot) -> None:
    trained, found = model.meta["encoders"][modality], made_by(adatas, slot)
    if trained and found and trained != found:
        fix = "Encode these sections with the encoder of training: its vectors mean something else."
        field = f"{slot.where}[{str(slot)!r}]"
        raise OptionError(field, found=f"encoder {found[:12]}", expected=f"encoder {trained[:12]}", fix=fix)


def write_vectors(
    adatas: Sequence[AnnData], model: Model, batch: Batch, modality: str, key: Slot, *, by: str, device: str | None
) -> None:
    """Write the vectors that a modality asks for, and which of their rows hold a result."""
    outputs: dict[Slot, Any] = {}
    for name, slot in {"both": key, **{m: _JOINT[m].renamed(f"{key}_{m}") for m in _JOINT}}.items():
        ok = _valid(batch, name)
        if modality in ("both", name) and (name == "both" or ok.any() or modality == name):
            outputs[slot] = np.where(ok[:, None], _run(model, batch, name, device), np.float32(0))
            outputs[valid(slot)] = ok
    params = {"model": model.config, "modality": modality}
    inputs = [_MODALITIES.get(name, Keys.SCORES).renamed(slot) for name, slot in model.meta["slots"].items()]
    hashes = {"model": model.sha256}
    split = {slot: parts(adatas, value) for slot, value in outputs.items()}
    for k, one in enumerate(adatas):
        write(
            one, {slot: values[k] for slot, values in split.items()}, by=by, params=params, inputs=inputs, hashes=hashes
        )


def _valid(batch: Batch, modality: str) -> NDArray[np.bool_]:
    if modality != "both":
        return batch[f"{modality}_valid"].numpy()
    return (batch["image_valid"] | batch["genes_valid"]).numpy()


def _run(model: Model, batch: Batch, modality: str, device: str | None) -> NDArray[np.float32]:
    chosen = choose_device(device)
    module = model.module.to(chosen).eval()  # whoever has it in hand may have trained it since
    try:
        n, out = len(batch["section"]), []
        for start in range(0, n, _CHUNK):
            rows = {name: value[start : start + _CHUNK].to(chosen) for name, value in batch.items()}
            out.append(module.embed(rows, modality).float().cpu().numpy())
    finally:
        model.module.cpu()
    return np.concatenate(out)
