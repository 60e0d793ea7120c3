"""Embedding: what a fusion model says of each spot."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import has_genes
from .._errors import MissingError, OptionError
from .._keys import Keys, Slot, valid
from .._record import AnnDatas, Targets, has, write
from .._sections import sections
from .._types import check_types
from .._warn import warn
from ..nn import Model
from ..nn._data import Batch
from ..nn._device import choose_device
from ._fusion_genes import vectors_of_counts
from ._loaders import gather, parts
from ._made_by import made_by
from ._tile_vectors import vectors_of_tiles

_CHUNK = 8192
_MODALITIES = ("image", "genes")
_SLOTS = {"image": Keys.X_IMAGE, "genes": Keys.X_GENES, "pathways": Keys.SCORES, "region": Keys.X_IMAGE}
_OF = {"tiles": "image", "counts": "genes"}  # what a model makes of them itself
_FILLED_BY = {
    "image": "Run hs.tl.encode_image(...)",
    "genes": "run hs.tl.encode_genes(...)",
    "tiles": "Run hs.pp.tile(...)",
    "counts": "pass sections with raw counts",
}
_JOINT = {"image": Keys.X_FUSED_IMAGE, "genes": Keys.X_FUSED_GENES}


def embed(
    adata: AnnDatas,
    model: Model,
    *,
    modality: str = "both",
    image_rep: str | None = None,
    gene_rep: str | None = None,
    tiles_key: str | None = None,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.X_FUSED,
    device: str | None = None,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Write the vectors of a fusion model for sections, seen in training or not.

    Of a list, each section is embedded by what it has. Where the model has a gene encoder of its own that ranks genes with
    ``rank="section"``, embed whole sections: part of one has another mean.

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
        Slots with image and gene vectors; those of training where left out. A model that learned from pixels reads tiles
        in the place of the first, one with a gene encoder of its own counts in the place of the second.
    tiles_key
        Slot with those tiles; that of training where left out.
    layer
        Layer with those counts; that of training where left out.
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
    CountsError, GenesError
        Of a model with a gene encoder of its own: no raw counts, or hardly any of genes that it knows.
    OptionError
        Unknown modality, or vectors of another encoder than in training.

    Warns
    -----
    UserWarning
        ``"both"`` was asked for and a section lacks a slot: its half is predicted for all spots of it.

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
    adatas = list(targets)
    named = {"image": image_rep, "genes": gene_rep, "tiles": tiles_key, "counts": layer}
    _check_named(model, named)
    read = []
    for some in _alike(adatas, model, named) if modality == "both" else [adatas]:
        where = f" of {', '.join(_names(some, library_key))}" if len(some) < len(adatas) else ""
        slots = _slots(some, model, named, modality)
        if modality == "both":
            _check_lacking(model, [_OF.get(name, name) for name, slot in slots.items() if slot is None], where)
        read.append((some, _read(some, model, slots, library_key=library_key, device=device)))
    for some, batch in read:
        write_vectors(some, model, batch, modality, Keys.X_FUSED.renamed(key_added), by="tl.embed", device=device)
    return targets.result()


def joint_vectors(
    adatas: Sequence[AnnData],
    model: Model,
    modality: str,
    *,
    image_rep: str | None = None,
    gene_rep: str | None = None,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    device: str | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors of one modality in the joint space, as :func:`embed` makes them, and which rows hold one; none is written."""
    _check_fusion(model)
    named = {"image": image_rep, "genes": gene_rep, "counts": layer}
    _check_named(model, named)
    batch = _read(adatas, model, _slots(adatas, model, named, modality), library_key=library_key, device=device)
    x = _run(model, batch, modality, device)
    return x, _valid(batch, modality) & np.isfinite(x).all(axis=1)


def _check_fusion(model: Model) -> None:
    if "slots" not in getattr(model, "meta", {}):
        found = getattr(model, "name", type(model).__name__)
        raise OptionError("model", found=found, expected="a fusion model", fix="Pass what hs.tl.fuse returned.")


def _read(
    adatas: Sequence[AnnData],
    model: Model,
    slots: Mapping[str, Slot | None],
    *,
    library_key: str,
    device: str | None,
) -> Batch:
    """Read vectors from their slots, and what a model makes of tiles and counts itself; None for what is not read."""
    vectors = {name: slot for name, slot in slots.items() if name not in _OF}
    batch = gather(adatas, vectors, sizes=model.meta["sizes"], library_key=library_key, places=False)
    how: dict[str, Any] = {"library_key": library_key, "device": device}
    if "tiles" in slots:
        tiles, width = slots["tiles"], model.module.trunk.width
        put_vectors(batch, "image", width, None if tiles is None else vectors_of_tiles(adatas, model, tiles, **how))
    if "counts" in slots:
        counts, width = slots["counts"], model.meta["sizes"]["genes"]
        put_vectors(batch, "genes", width, None if counts is None else vectors_of_counts(adatas, model, counts, **how))
    return batch


def put_vectors(
    batch: Batch, name: str, width: int, made: tuple[NDArray[np.float32], NDArray[np.bool_]] | None
) -> None:
    """Add vectors that a model made itself; None for a modality that is not read."""
    n = len(batch["section"])
    x, ok = made or (np.zeros((n, width), dtype=np.float32), np.zeros(n, dtype=bool))
    batch[name], batch[f"{name}_valid"] = torch.from_numpy(x), torch.from_numpy(ok)


def _check_named(model: Model, named: Mapping[str, str | None]) -> None:
    """Refuse the name of a slot that a model does not read."""
    options = {"image": "image_rep", "genes": "gene_rep", "tiles": "tiles_key", "counts": "layer"}
    for name, option in options.items():
        if named.get(name) is not None and name not in slots_of(model):
            reads = "vectors" if name in _OF else {"image": "tiles", "genes": "counts"}[name]
            found = f"{named[name]!r} for a model that reads {reads}"
            raise OptionError(option, found=found, expected="None", fix="Leave it out.")


def slots_of(model: Model, layer: str | None = None) -> dict[str, Slot]:
    """Slots that a model was trained on, by what they hold; with counts from another layer where one is named."""
    slots = {name: _SLOTS[name].renamed(slot) for name, slot in model.meta["slots"].items()}
    if "tiles" in model.meta:
        slots["tiles"] = Keys.TILES.renamed(model.meta["tiles"])
    if "counts" in model.meta:
        slots["counts"] = Keys.COUNTS.renamed(layer or model.meta["counts"] or Keys.COUNTS)
    return slots


def _alike(adatas: Sequence[AnnData], model: Model, named: Mapping[str, str | None]) -> list[list[AnnData]]:
    """Sort sections by what they have of what a model reads."""
    groups: dict[tuple[bool, ...], list[AnnData]] = {}
    for one in adatas:
        has_each = tuple(_there(one, name, slot) for name, slot in _to_read(model, named).items())
        groups.setdefault(has_each, []).append(one)
    return list(groups.values())


def _to_read(model: Model, named: Mapping[str, str | None]) -> dict[str, Slot]:
    """Slots that spots are embedded from: those of training, or others that are named."""
    slots = {name: slot for name, slot in slots_of(model).items() if name != "region"}
    return {name: slot.renamed(named.get(name) or str(slot)) for name, slot in slots.items()}


def _there(adata: AnnData, name: str, slot: Slot) -> bool:
    return has_genes(adata) if name == "counts" else has(adata, slot)


def _names(adatas: Sequence[AnnData], library_key: str) -> list[str]:
    return [repr(name) for one in adatas for name in sections(one, library_key)]


def _slots(
    adatas: Sequence[AnnData], model: Model, named: Mapping[str, str | None], modality: str
) -> dict[str, Slot | None]:
    """Slot to read for each modality: None where it is not needed, or where it may be predicted."""
    slots: dict[str, Slot | None] = {}
    for name, slot in _to_read(model, named).items():
        of = _OF.get(name, name)
        there = all(_there(one, name, slot) for one in adatas)
        wanted = modality in ("both", of)
        slots[name] = slot if wanted and (there or modality == of or named.get(name)) else None
        if slots[name] is not None and there and name not in _OF:
            check_encoder(adatas, model, name, slot)
    return slots


def _check_lacking(model: Model, lacking: Sequence[str], where: str) -> None:
    """Warn of a modality that is not there, where both were asked for; refuse where neither is."""
    if len(lacking) == len(_MODALITIES):
        read = _to_read(model, {})
        found = f"none of {[f'{slot.where}[{str(slot)!r}]' for slot in read.values()]}"
        fix = f"{' or '.join(_FILLED_BY[name] for name in read if name in _FILLED_BY)} first."
        raise MissingError(f"adata{where}", found=found, expected="at least one of them", fix=fix)
    if lacking:
        source = {of: name for name, of in _OF.items()}[lacking[0]]
        what = f"no {source}" if source in model.meta else "no vectors in obsm"
        msg = f"{', '.join(lacking)}: {what}{where}; that half of {Keys.X_FUSED!s} is predicted for all spots"
        warn(msg)


def check_encoder(adatas: Sequence[AnnData], model: Model, modality: str, slot: Slot) -> None:
    """Refuse vectors of another encoder than in training."""
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
        # What another model wrote must not stay beside what this one writes.
        stale = any(has(one, slot) for one in adatas)
        if modality in ("both", name) and (name == "both" or ok.any() or stale or modality == name):
            outputs[slot] = np.where(ok[:, None], _run(model, batch, name, device), np.float32(0))
            outputs[valid(slot)] = ok
    params = {"model": model.config, "modality": modality}
    inputs = [slot for slot in slots_of(model).values() if all(has(one, slot) for one in adatas)]
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
