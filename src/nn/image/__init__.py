"""Image encoders: those without weights in a file each, those with weights in a line each of encoders.toml."""

from ._convert import convert_weights
from ._encoder import Encoder
from ._load import load_encoder
from ._table import ENCODERS, encoders

__all__ = ["ENCODERS", "Encoder", "convert_weights", "encoders", "load_encoder"]
