"""Models: configurations, their torch modules, training and saving. Nothing here knows AnnData."""

from ._config import TrainConfig
from ._model import MODELS, Model, load
from .fusion import FUSIONS, Contrastive
from .genes import PCA, GeneEncoder
from .image import ENCODERS, convert_weights, encoders, load_encoder

__all__ = [
    "ENCODERS",
    "FUSIONS",
    "MODELS",
    "PCA",
    "Contrastive",
    "GeneEncoder",
    "Model",
    "TrainConfig",
    "convert_weights",
    "encoders",
    "load",
    "load_encoder",
]
