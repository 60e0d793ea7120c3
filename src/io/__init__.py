"""Files in, files out: slide images, readers of sections, gene sets, SpatialData."""

from ._gmt import read_gmt
from ._link_image import link_image
from ._read import read
from ._slide import tile_slide
from ._spatialdata import from_spatialdata
from ._st import read_st
from ._to_spatialdata import to_spatialdata
from ._visium import read_visium
from ._write import write
from .image import SlideImage, open_image

__all__ = [
    "SlideImage",
    "from_spatialdata",
    "link_image",
    "open_image",
    "read",
    "read_gmt",
    "read_st",
    "read_visium",
    "tile_slide",
    "to_spatialdata",
    "write",
]
