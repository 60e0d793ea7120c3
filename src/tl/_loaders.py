"""The bridge between AnnData and torch: slots in, tensors out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from anndata import AnnData
from numpy.typing import NDArray
from torch import Tensor

from .._errors import OptionError
from .._keys import Keys, Slot, valid
from .._record import has, matrix, record
from .._sections import section_mpp, sections
from .._units import to_um
from ..nn._data import Batch
from ._stale import check_modalities, warn_if_stale


def gather(
    adatas: Sequence[AnnData],
    slots: Mapping[str, Slot | None],
    *,
    sizes: Mapping[str, int] | None = None,
    library_key: str = Keys.LIBRARY_ID,
    places: bool = True,
) -> Batch:
    """Stack vectors, validity, tiles and sections of all spots, in the order of the list.

    Parameters
    ----------
    adatas
        Sections.
    slots
        Modality → slot of its vectors; None for one that is missing altogether.
    sizes
        Modality → the width that the vectors must have; that of the first section by default.
    library_key
        Column of ``obs`` that says the section.
    places
        Whether tiles are wanted, for which the scale must be known.
    """
    for one in adatas:
        check_modalities(one, slots)
        for slot in slots.values():
            if slot is not None:
                warn_if_stale(one, slot)
    batch: Batch = {}
    for modality, slot in slots.items():
        parts = [_vectors(one, slot, (sizes or {}).get(modality), library_key) for one in adatas]
        _same_width([x for x, _ in parts], modality, slot)
        batch[modality] = torch.from_numpy(np.concatenate([x for x, _ in parts]))
        batch[f"{modality}_valid"] = torch.from_numpy(np.concatenate([ok for _, ok in parts]))
    if places:
        batch["boxes"] = torch.from_numpy(np.concatenate([_boxes_um(one, library_key) for one in adatas]))
    batch["section"] = torch.from_numpy(section_codes(adatas, library_key))
    return batch


def _vectors(
    adata: AnnData, slot: Slot | None, width: int | None, library_key: str
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    if slot is None:
        return np.zeros((adata.n_obs, width or 0), dtype=np.float32), np.zeros(adata.n_obs, dtype=bool)
    x = matrix(adata, slot)
    if width is not None and x.shape[1] != width:
        fix = "Encode it as the model's training sections were."
        raise OptionError(_field(slot), found=f"{x.shape[1]} columns", expected=f"{width}, as in training", fix=fix)
    ok = usable(adata, slot, library_key)
    return np.where(ok[:, None], x, 0), ok


def usable(adata: AnnData, slot: Slot, library_key: str = Keys.LIBRARY_ID) -> NDArray[np.bool_]:
    """Rows of a slot that hold a result: flagged so, and finite.

    A column of a table that a section lacks, such as the score of a gene set without measured genes, is NaN in all rows
    of that section and makes none of them unusable.
    """
    finite = np.isfinite(matrix(adata, slot))
    ok = finite.all(axis=1)
    if isinstance(adata.obsm[slot], pd.DataFrame) and not ok.all():
        for rows in sections(adata, library_key).values():
            measured = finite[rows].any(axis=0)
            ok[rows] = finite[np.ix_(rows, measured)].all(axis=1) & measured.any()
    flag = valid(slot)
    return ok & adata.obs[flag].to_numpy(dtype=bool) if has(adata, flag) else ok


def _same_width(parts: list[NDArray[np.float32]], modality: str, slot: Slot | None) -> None:
    widths = {x.shape[1] for x in parts}
    if len(widths) > 1:
        fix = "Encode all sections with one encoder."
        field = _field(slot) if slot is not None else modality
        raise OptionError(field, found=f"widths {sorted(widths)}", expected="one width in all sections", fix=fix)


def _field(slot: Slot) -> str:
    return f"{slot.where}[{str(slot)!r}]"


def _boxes_um(adata: AnnData, library_key: str, slot: Slot = Keys.TILES) -> NDArray[np.float32]:
    """Tiles in um; NaN where there are none: then only a spot itself is known to show the same tissue."""
    if not has(adata, slot):
        return np.full((adata.n_obs, 4), np.nan, dtype=np.float32)
    boxes = np.array(adata.obsm[slot], dtype=np.float64)  # a copy: the slot stays as it is
    for name, rows in sections(adata, library_key).items():
        boxes[rows] = to_um(boxes[rows], section_mpp(adata, name))
    return boxes.astype(np.float32)


def region_boxes(adatas: Sequence[AnnData], vectors: Slot, library_key: str) -> NDArray[np.float32]:
    """Boxes of regions in um, of which a slot holds vectors: by its record; three times the tiles where that is silent."""
    found = []
    for one in adatas:
        inputs = [key.removeprefix("obsm.") for key in record(one, vectors).get("inputs", [])]
        end = re.search(r"_x[0-9.]+$", vectors)
        slot = next((Keys.TILES.renamed(key) for key in inputs if end and key.endswith(end[0])), None)
        tiles = _boxes_um(one, library_key, slot or Keys.TILES)
        if slot is None:
            tiles[:, :2] -= tiles[:, 2:]
            tiles[:, 2:] *= 3
        found.append(tiles)
    return np.concatenate(found)


def section_codes(adatas: Sequence[AnnData], library_key: str = Keys.LIBRARY_ID) -> NDArray[np.int64]:
    """Return the number of each row's section; one name in two AnnData is two sections."""
    codes: list[NDArray[np.int64]] = []
    n = 0
    for one in adatas:
        own = np.zeros(one.n_obs, dtype=np.int64)
        for rows in sections(one, library_key).values():
            own[rows] = n
            n += 1
        codes.append(own)
    return np.concatenate(codes)


def take(batch: Mapping[str, Tensor], rows: Any) -> Batch:
    """Pick rows of a batch."""
    index = torch.from_numpy(np.asarray(rows))
    return {name: value[index] for name, value in batch.items()}


def parts(adatas: Sequence[AnnData], stacked: Any) -> list[Any]:
    """Rows of each AnnData of what was stacked."""
    ends = np.cumsum([one.n_obs for one in adatas])
    return [stacked[end - one.n_obs : end] for one, end in zip(adatas, ends, strict=True)]
