"""Fusion models: one file each, one line in the table."""

from ..._registry import Registry
from ._contrastive import Contrastive

FUSIONS = Registry("fusion model", __name__, {"Contrastive": "._contrastive:Contrastive"})

__all__ = ["FUSIONS", "Contrastive"]
