"""What is said where training ended in numbers that are none."""

from collections.abc import Mapping

import torch
from torch import Tensor

from .._errors import TrainingError


def diverged(what: str) -> TrainingError:
    """Error of a loss or weight that is no longer a number."""
    fix = "Lower lr, or set clip; with checkpoint_dir= the last good epoch is in last.ckpt."
    return TrainingError(what, found="NaN or infinity", expected="a finite number", fix=fix)


def check_finite(vectors: Mapping[str, Tensor]) -> None:
    """Refuse vectors in the joint space, by modality, that are no longer numbers."""
    for name, x in vectors.items():
        if not torch.isfinite(x).all():
            raise diverged(f"the joint-space vectors of the {name}")
