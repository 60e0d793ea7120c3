"""Building blocks: one idea a file."""

from .boxes import around, overlap
from .linear import Ridge, Standardise, Whiten
from .losses import info_nce, placing, scale
from .pool import grid_pool

__all__ = ["Ridge", "Standardise", "Whiten", "around", "grid_pool", "info_nce", "overlap", "placing", "scale"]
