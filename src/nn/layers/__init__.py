"""Building blocks: one idea a file."""

from .boxes import overlap
from .linear import Ridge, Standardise, Whiten
from .losses import info_nce

__all__ = ["Ridge", "Standardise", "Whiten", "info_nce", "overlap"]
