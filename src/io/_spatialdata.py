"""SpatialData to AnnData: the table itself, with positions and image resolved."""

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check
from .._errors import MissingError, OptionError
from .._keys import Keys, LibraryKeys
from .._record import each, has, write
from .._types import check_types
from .._units import spacing
from ._complete import check_image_chunks, check_table_chunks
from ._elements import Placement, centroids, check_shapes, place
from ._link import entry, given_mpp

if TYPE_CHECKING:
    from spatialdata import SpatialData

log = logging.getLogger("histoscribe")

_LEAST_INSIDE = 0.5  # transformations place the image explicitly, and it often shows a part of the cells


def from_spatialdata(
    sdata: "SpatialData", *, table_key: str = "table", image_key: str | None = None, mpp: float | None = None
) -> AnnData:
    """Table of a SpatialData with positions and image linked: the table itself, so that ``sdata`` sees all results.

    What belongs together is resolved, never assumed: table → the elements that it annotates → a coordinate system
    that each shares with an image. Positions are the elements' centres in pixels of that image, whatever affine map
    lies between. Each annotated element becomes a section. What was resolved is logged.

    Writes ``obsm["spatial"]``, ``uns["spatial"]`` and ``obs["library_id"]``. The image goes into ``uns["spatial"]``
    up to 64 megapixels, and into an OME-TIFF in ``settings.cache_dir`` above.

    Parameters
    ----------
    sdata
        Object with a table that annotates shapes, labels or points, and an image.
    table_key
        Name of the table.
    image_key
        Name of the image. By default the finest 8-bit RGB image that shares a coordinate system with the element,
        else the finest image of any kind.
    mpp
        Micrometres per pixel of the image; never guessed.

    Returns
    -------
    The object's own table, so that what is written to it shows up there.

    Raises
    ------
    MissingError
        The table, an element or an instance is not there, or no coordinate system is shared.
    OptionError
        Instance ids are of another type than the element's index; positions are NaN, shapes empty or invalid, or
        radii missing; or several images fit alike.
    FileError
        The object's store lacks parts of the counts, or of the image where instances lie.

    Warns
    -----
    UserWarning
        The store lacks other parts of the image: they are black, by right or not. Or the image is not 8-bit RGB, or its
        red and blue appear exchanged.

    Examples
    --------
    >>> adata = hs.io.from_spatialdata(sdata, mpp=0.5)
    >>> adata is sdata["table"]
    True
    """
    check_types(from_spatialdata, locals())
    check("sdata", sdata, hasattr(sdata, "tables") or isinstance(sdata, AnnData), "a SpatialData", fix="Pass one.")
    if isinstance(sdata, AnnData):
        fix = "It needs no conversion: pass it on as it is; hs.io.link_image(adata) gives it image and scale."
        raise OptionError("sdata", found="an AnnData", expected="a SpatialData", fix=fix)
    mpp = given_mpp(mpp)
    table = _table(sdata, table_key)
    check_table_chunks(sdata, table_key, table)
    regions, instances = _annotation(sdata, table)
    xy = np.empty((table.n_obs, 2))
    libraries, names = {}, np.empty(table.n_obs, dtype=object)
    for region, rows in regions.items():
        check_shapes(sdata[region], region)
        placement = place(sdata, region, image_key)
        found = placement.to_image(_joined(centroids(sdata[region], placement.system), instances.iloc[rows], region))
        check_image_chunks(sdata, placement.image, placement.pixels, found)
        name = _library_id(table, region, rows)
        xy[rows], libraries[name] = _section(table, name, rows, found, placement, mpp)
        names[rows] = name
        log.info(
            "%s: %s lies on image %s through coordinate system %s", name, region, placement.image, placement.system
        )
    _warn_of_tiles(table, xy)
    outputs = {
        Keys.SPATIAL: xy,
        Keys.LIBRARIES: {**table.uns.get(Keys.LIBRARIES, {}), **libraries},
        Keys.LIBRARY_ID: pd.Categorical(names),
    }
    write(table, outputs, by="io.from_spatialdata", params={"table_key": table_key, "image_key": image_key, "mpp": mpp})
    return table


def _table(sdata: "SpatialData", table_key: str) -> AnnData:
    if table_key not in sdata.tables:
        fix = "Pass table_key=, one of these."
        raise MissingError("sdata.tables", found=f"only {list(sdata.tables)}", expected=repr(table_key), fix=fix)
    return each(sdata.tables[table_key])[0]


def _annotation(sdata: "SpatialData", table: AnnData) -> tuple[dict[str, NDArray[np.intp]], pd.Series]:
    """Rows of each element that the table annotates, and the instance id of every row."""
    attrs = table.uns.get("spatialdata_attrs")
    if attrs is None:
        fix = "Set it with spatialdata.models.TableModel.parse(...)."
        raise MissingError("uns['spatialdata_attrs']", found="nothing", expected="what the table annotates", fix=fix)
    column = table.obs[attrs["region_key"]]
    regions = {str(name): np.flatnonzero(column == name) for name in pd.unique(column.dropna())}
    there = [name for _, name, _ in sdata.gen_spatial_elements()]
    if absent := [name for name in regions if name not in there]:
        fix = "Add the elements, or correct the table's region column."
        raise MissingError("sdata", found=f"only {there}", expected=f"the annotated {absent}", fix=fix)
    if column.isna().any():
        field, found = f"obs[{attrs['region_key']!r}]", f"{column.isna().sum()} missing"
        raise OptionError(field, found=found, expected="an element for every row", fix="Fill them in.")
    return regions, table.obs[attrs["instance_key"]]


def _joined(points: pd.DataFrame, instances: pd.Series, region: str) -> NDArray[np.float64]:
    """Centres in the order of the table: joined by id, whatever the order in the element."""
    field = f"instance ids of {region!r}"
    numbers = pd.api.types.is_integer_dtype(instances), pd.api.types.is_integer_dtype(points.index)
    if numbers[0] != numbers[1]:
        fix = "Cast one: table.obs[key] = table.obs[key].astype(element.index.dtype)."
        found = f"{instances.dtype} in the table, {points.index.dtype} in the element"
        raise OptionError(field, found=found, expected="one type", fix=fix)
    if not points.index.is_unique:
        raise OptionError(field, found="duplicates in the element", expected="unique ids", fix="Make them unique.")
    order = points.index.get_indexer(pd.Index(instances))
    if absent := int((order < 0).sum()):
        found = f"{absent} of {len(order)} not in the element"
        fix = "Subset the table to instances of the element: spatialdata.match_table_to_element(...)."
        raise MissingError(field, found=found, expected="every row's instance", fix=fix)
    xy = points[["x", "y"]].to_numpy(np.float64)[order]
    if bad := int((~np.isfinite(xy)).any(axis=1).sum()):
        fix = "Remove these instances from element and table."
        raise OptionError(f"centres of {region!r}", found=f"{bad} NaN", expected="finite positions", fix=fix)
    return xy


def _library_id(table: AnnData, region: str, rows: NDArray[np.intp]) -> str:
    """Section name: the one that the table already gives to exactly these rows, else the element's."""
    if Keys.LIBRARY_ID not in table.obs:
        return region
    column = table.obs[Keys.LIBRARY_ID].astype(str)
    name = column.iloc[rows[0]]
    if (column.iloc[rows] == name).all() and (column == name).sum() == len(rows):
        return str(name)
    fix = "Rename that column: it is to name the element of each row."
    raise OptionError(
        "obs['library_id']", found="values that cut across the elements", expected="one an element", fix=fix
    )


def _section(
    table: AnnData, name: str, rows: NDArray[np.intp], xy: NDArray[np.float64], placement: Placement, mpp: float | None
) -> tuple[NDArray[np.float64], dict[str, Any]]:
    """Positions and library entry of one section; an unchanged frame keeps its scale."""
    known = table.uns.get(Keys.LIBRARIES, {}).get(name, {}).get(LibraryKeys.METADATA, {})
    scale = float(known.get(LibraryKeys.SCALE, 1.0))
    old = np.asarray(table.obsm[Keys.SPATIAL])[rows] if has(table, Keys.SPATIAL) else np.full_like(xy, np.nan)
    if np.allclose(old, xy / scale, rtol=0, atol=0.01):
        mpp = known.get(LibraryKeys.MPP) if mpp is None else mpp
    else:
        scale = 1.0
    diameter = (placement.diameter or spacing(xy) or 1.0) / scale
    patient = known.get(LibraryKeys.PATIENT)
    described = entry(
        placement.pixels, xy / scale, mpp=mpp, scale=scale, spot_diameter=diameter, patient=patient,
        least_inside=_LEAST_INSIDE,
    )  # fmt: skip
    return xy / scale, described


def _warn_of_tiles(table: AnnData, xy: NDArray[np.float64]) -> None:
    if not (has(table, Keys.TILES) and has(table, Keys.SPATIAL)):
        return
    if not np.allclose(table.obsm[Keys.SPATIAL], xy, rtol=0, atol=0.01, equal_nan=True):
        log.warning("positions have moved and obsm['tiles'] has not: run hs.pp.tile(adata) again")
