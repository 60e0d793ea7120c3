"""A warning where training made all spots the same."""

import numpy as np
import torch

from .._warn import warn
from ..nn import Model
from ..nn._data import Batch
from ..nn._pairs import PAIR, collapse
from ..nn.layers import overlap
from ._loaders import take

_MOST = 2048


def warn_of_collapse(model: Model, batch: Batch) -> None:
    """Warn where the joint-space vectors of the spots of training use hardly any of their dimensions, and say why."""
    if not all(name in batch for name in PAIR) or len(batch["section"]) < 3:
        return
    n = len(batch["section"])
    some = take(batch, np.arange(0, n, 1 + n // _MOST))
    with torch.no_grad():
        image, genes = (model.module.embed(some, name) for name in PAIR)
    near = overlap(some["boxes"], some["section"]) > getattr(model.config, "max_overlap", 1.0)
    share = float(near.fill_diagonal_(fill_value=False).sum()) / (len(near) * (len(near) - 1))
    said = collapse(image, genes, {name: some[name] for name in PAIR}, share)
    if said is not None:
        warn(said)
