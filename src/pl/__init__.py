"""Pictures of sections and of what was learned from them."""

from ._alignment import alignment
from ._attribution import attribution
from ._history import history
from ._panels import panels
from ._probe import probe
from ._retrieval import retrieval
from ._spatial import spatial
from ._tiles import tiles

__all__ = ["alignment", "attribution", "history", "panels", "probe", "retrieval", "spatial", "tiles"]
