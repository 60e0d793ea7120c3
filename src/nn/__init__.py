"""Models: configurations, their torch modules, training and saving. Nothing here knows AnnData."""

from ._config import TrainConfig
from ._model import MODELS, Model, load
from .fusion import FUSIONS, Contrastive
from .genes import PCA
from .image import ENCODERS, convert_weights, encoders, load_encoder

__all__ = [
    "ENCODERS",
    "FUSIONS",
    "MODELS",
    "PCA",
    "Contrastive",
    "Model",
    "TrainConfig",
    "convert_weights",
    "encoders",
    "load",
    "load_encoder",
]
