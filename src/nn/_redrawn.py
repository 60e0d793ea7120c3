"""A model with its weights drawn anew: what it would say if it had learned nothing."""

from typing import Any

from ._model import Model
from ._seed import seeded
from .layers import Standardise

_ANEW = 1  # told apart from the seeds of training, which may be the same number


def redrawn(model: Model, random_state: int) -> Any:
    """Return the module of a model with its weights drawn anew; what its inputs are scaled by stays.

    References
    ----------
    Adebayo et al. 2018, "Sanity checks for saliency maps", arXiv:1810.03292.
    """
    with seeded(random_state, _ANEW):
        module = Model.new(model.config, model.meta).module
    for name, part in module.named_modules():
        if isinstance(part, Standardise):
            part.load_state_dict(model.module.get_submodule(name).state_dict())
    return module
