"""AnnData to SpatialData: images, circles and the table that annotates them."""

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import OptionError
from .._keys import LibraryKeys
from .._sections import check_placed, check_places, library, metadata, positions, sections
from .._types import check_types
from .._units import pitch
from ._link import single
from .image import SlideImage, open_image
from .image._locate import locate_image

if TYPE_CHECKING:
    from spatialdata import SpatialData

_REGION_KEY = "spatialdata_element"
_INSTANCE_KEY = "spatialdata_instance"
_CHUNK = 4096


def to_spatialdata(adata: AnnData) -> "SpatialData":
    """SpatialData of one or more sections: ``<section>_image``, circles ``<section>_spots``, and ``table``.

    Each section is a coordinate system of its own, in full-resolution pixels. Images stay lazy: they are read when
    the object is written or used. The table is a copy of ``adata``; :func:`from_spatialdata` leads back to the same
    positions and tiles.

    Parameters
    ----------
    adata
        Section or sections (by ``obs["library_id"]``) with positions; sections without an image get no image.

    Raises
    ------
    ImageError
        More than half of the spots of a section lie outside its image, or x and y are swapped.
    OptionError
        It is a list, positions are NaN, or observation names of a section are not unique.

    Examples
    --------
    >>> sdata = hs.io.to_spatialdata(adata)
    >>> sdata.write("section.zarr")
    """
    check_types(to_spatialdata, locals())
    from spatialdata import SpatialData
    from spatialdata.models import TableModel

    adata = single(adata, fix="Convert one at a time, or join them: anndata.concat(adatas, uns_merge='unique').")
    check_places(adata)
    xy, groups = positions(adata), sections(adata)
    names = _element_names(list(groups))
    images, shapes = {}, {}
    element = np.empty(adata.n_obs, dtype=object)
    for section, rows in groups.items():
        system = names[section]
        if (image := _image(adata, section, system)) is not None:
            images[f"{system}_image"] = image
        shapes[f"{system}_spots"] = _circles(adata, section, rows, xy[rows], system)
        element[rows] = f"{system}_spots"
    table = adata.copy()
    table.obs[_REGION_KEY] = pd.Categorical(element)
    table.obs_names = table.obs_names.astype(str)
    table.obs[_INSTANCE_KEY] = table.obs_names.to_numpy()
    table = TableModel.parse(
        table, region=list(shapes), region_key=_REGION_KEY, instance_key=_INSTANCE_KEY, overwrite_metadata=True
    )
    return SpatialData(images=images, shapes=shapes, tables={"table": table})


def _element_names(section_names: list[str]) -> dict[str, str]:
    """Names that SpatialData allows, unique whatever their case."""
    safe = {name: re.sub(r"[^A-Za-z0-9_.-]", "_", name) for name in section_names}
    if len({name.lower() for name in safe.values()}) < len(safe):
        fix = "Rename the sections."
        raise OptionError("library_id", found=section_names, expected="names that differ in letters", fix=fix)
    return safe


def _circles(adata: AnnData, section: str, rows: NDArray[np.intp], xy: NDArray[np.float64], system: str) -> Any:
    from spatialdata.models import ShapesModel
    from spatialdata.transformations import Identity

    check_placed(xy)
    index = adata.obs_names[rows].astype(str)  # 1 and "1" are one name in a file
    if not index.is_unique:
        fix = "Run adata.obs_names_make_unique()."
        raise OptionError("obs_names", found=f"duplicates in {section!r}", expected="unique names", fix=fix)
    factors = library(adata, section).get(LibraryKeys.SCALEFACTORS, {})
    diameter = factors.get(LibraryKeys.SPOT_DIAMETER) or (pitch(xy) if len(xy) > 1 else 1.0)
    place = {system: Identity()}
    return ShapesModel.parse(xy, geometry=0, radius=float(diameter) / 2, index=index, transformations=place)


def _image(adata: AnnData, section: str, system: str) -> Any | None:
    """Linked image of a section as a lazy element, or None where there is none."""
    from dask.array import from_array
    from spatialdata.models import Image2DModel
    from spatialdata.transformations import Scale

    entry = library(adata, section)
    if LibraryKeys.PATH not in metadata(adata, section) and not entry.get(LibraryKeys.IMAGES):
        return None
    pixels, scale = _linked(adata, section)
    lazy = from_array(pixels, chunks=(_CHUNK, _CHUNK, -1), lock=True, asarray=False, name=False)
    rgb = {"c_coords": ["r", "g", "b"]} if pixels.shape[2] == 3 else {}
    to_frame = Scale([1 / scale, 1 / scale], axes=("x", "y"))
    return Image2DModel.parse(lazy.transpose(2, 0, 1), dims=("c", "y", "x"), transformations={system: to_frame}, **rgb)


def _linked(adata: AnnData, section: str) -> "tuple[_Pixels, float]":
    """Pixels of the linked image as they are stored, and their number per full-resolution pixel."""
    located = locate_image(adata, section)
    return _Pixels(open_image(located.image)), located.scale


class _Pixels:
    """A slide image as the array that dask slices."""

    ndim = 3

    def __init__(self, image: SlideImage) -> None:
        self._image = image
        self.shape = (image.height, image.width, image.n_channels)
        self.dtype = np.dtype(image.dtype)

    def __getitem__(self, key: tuple[slice, ...]) -> NDArray[Any]:
        rows, columns = (range(*cut.indices(size)) for cut, size in zip(key[:2], self.shape, strict=False))
        return self._image.read(columns.start, rows.start, len(columns), len(rows))[..., key[2]]
