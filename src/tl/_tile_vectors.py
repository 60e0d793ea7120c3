"""Vectors that a model which learned from pixels makes of tiles."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import Slot
from ..nn import Model
from ._encode_image import encode_boxes
from ._feature_cache import FeatureCache
from ._image_checks import boxes_of
from ._image_vectors import Work

_AT_ONCE = 64  # tiles


def vectors_of_tiles(
    adatas: Sequence[AnnData], model: Model, tiles: Slot, *, library_key: str, device: str | None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Vectors (n, d) of the tiles of all spots, zero where there is none, and which spots have one; kept in the cache."""
    encoder: Any = model.module.encoder(device)
    work = Work(encoder, dense=False, batch_size=_AT_ONCE, num_workers=0, stain=None, cache=FeatureCache())
    try:
        found = [encode_boxes(one, [boxes_of(one, tiles)], work, library_key) for one in adatas]
    finally:
        model.module.cpu()
    x = [np.where(ok[0][:, None], vectors[0].reshape(len(ok[0]), -1), np.float32(0)) for vectors, ok, _ in found]
    return np.concatenate(x), np.concatenate([ok[0] for _, ok, _ in found])
