"""Whether image and genes find each other while a model is trained, and whether either has collapsed."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..metrics import effective_rank, recall_at_k
from ._data import Batch
from ._diverged import check_finite

PAIR = ("image", "genes")
_MOST = 4096  # rows that are compared with each other
_COLLAPSED = 2.0  # dimensions: fewer tell nothing but one thing apart


def agreement(seen: Sequence[Batch]) -> dict[str, float]:
    """Describe joint-space vectors of both modalities, in batches: recall, cosine gap and effective rank.

    ``recall_10_image``: share of the spots whose genes are among the ten nearest of the image; ``_genes``, the other way;
    ``_within``, the first among spots of the same section alone. ``cosine_gap``: how much more alike a spot's image and
    genes are than those of different spots. ``rank_image``: dimensions that the vectors use.
    """
    together = {name: torch.cat([batch[name] for batch in seen])[:_MOST] for name in seen[0]}
    check_finite({name: x for name, x in together.items() if name in PAIR})
    whole = {name: x.numpy() for name, x in together.items()}
    found = {f"rank_{name}": effective_rank(whole[name]) for name in PAIR if name in whole and len(whole[name])}
    if len(found) < 2 or len(whole["section"]) < 2:
        return found
    image, genes = (whole[name] for name in PAIR)
    for k in (1, 10):
        found[f"recall_{k}_image"] = recall_at_k(image, genes, k)
        found[f"recall_{k}_genes"] = recall_at_k(genes, image, k)
        found[f"recall_{k}_within"] = recall_at_k(image, genes, k, groups=whole["section"])
    return {**found, "cosine_gap": _gap(image, genes)}


def _gap(image: NDArray[np.float32], genes: NDArray[np.float32]) -> float:
    """Mean cosine of pairs less that of all others; of vectors of length one."""
    n, own = len(image), float((image * genes).sum(axis=1).mean())
    every = float(image.mean(axis=0) @ genes.mean(axis=0))
    return own - (every * n - own) / (n - 1)


def collapse(image: Tensor, genes: Tensor, inputs: dict[str, Tensor], no_negative: float) -> str | None:
    """Say which modality's joint-space vectors are all but the same, and why; None where neither's are.

    Parameters
    ----------
    image, genes
        Joint-space vectors (n, d).
    inputs
        What they were made from, by modality, where it is known.
    no_negative
        Share of the pairs of spots that are no negatives of each other.
    """
    ranks = {name: effective_rank(x.numpy()) for name, x in zip(PAIR, (image, genes), strict=True)}
    flat = [name for name, rank in ranks.items() if rank < _COLLAPSED]
    if not flat:
        return None
    said = f"the joint-space vectors of the {' and the '.join(flat)} have collapsed: they use "
    said += f"{' and '.join(f'{ranks[name]:.1f}' for name in flat)} of {image.shape[1]} dimensions. "
    for name in flat:
        if name in inputs and (rank := effective_rank(inputs[name].numpy())) < _COLLAPSED:
            return f"{said}The vectors that go in are alike already ({rank:.1f} dimensions): take another encoder."
    if no_negative > 0.9:
        return (
            f"{said}{no_negative:.0%} of the pairs of spots are no negatives, since their tiles overlap: raise "
            "max_overlap=, make smaller tiles, or train on more sections."
        )
    return f"{said}Training did not hold them apart: lower lr=, or train longer on more spots."
