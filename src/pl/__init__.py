"""Pictures of sections and of what was learned from them."""

from ._panels import panels
from ._spatial import spatial
from ._tiles import tiles

__all__ = ["panels", "spatial", "tiles"]
