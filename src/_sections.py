"""Sections of an AnnData: their rows, positions, scale and linked image."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ._errors import MissingError, OptionError, ScaleError
from ._keys import Keys, LibraryKeys
from ._record import require
from ._units import check_mpp, spacing, to_um


def sections(adata: AnnData, library_key: str = Keys.LIBRARY_ID) -> dict[str, NDArray[np.intp]]:
    """Rows of each section: by ``obs[library_key]``, or all rows where there is only one section."""
    if library_key in adata.obs:
        column = adata.obs[library_key].astype("category")
        if column.isna().any():
            raise OptionError(
                f"obs[{str(library_key)!r}]",
                found=f"{column.isna().sum()} missing",
                expected="a section for every row",
                fix="Fill them in.",
            )
        groups = {str(name): np.flatnonzero(column == name) for name in column.cat.categories}
        return {name: rows for name, rows in groups.items() if len(rows)}
    named = list(adata.uns.get(Keys.LIBRARIES, {}))
    if len(named) > 1 or library_key != Keys.LIBRARY_ID:
        raise MissingError(
            f"obs[{str(library_key)!r}]",
            found=f"no such column, and {len(named)} libraries in uns['spatial']: {named}",
            expected="the section of each row",
            fix=f"Pass library_key=, one of {list(adata.obs)}.",
        )
    return {named[0] if named else "section": np.arange(adata.n_obs)}


def library(adata: AnnData, library_id: str) -> Mapping[str, Any]:
    """Entry of ``uns["spatial"]`` of one section."""
    libraries = require(adata, Keys.LIBRARIES)
    if library_id not in libraries:
        raise MissingError(
            f"uns['spatial'][{library_id!r}]",
            found=f"only {sorted(libraries)}",
            expected="an entry for every section",
            fix="After anndata.concat, pass uns_merge='unique' so that it keeps them.",
        )
    return libraries[library_id]


def metadata(adata: AnnData, library_id: str) -> Mapping[str, Any]:
    """Our part of that entry; empty where a section came from another reader."""
    return library(adata, library_id).get(LibraryKeys.METADATA, {})


def positions(adata: AnnData) -> NDArray[np.float64]:
    """Spot centres (n, 2), full-resolution pixels; NaN rows are kept."""
    xy = require(adata, Keys.SPATIAL)
    xy = np.asarray(xy.to_numpy() if isinstance(xy, pd.DataFrame) else xy)
    if xy.ndim != 2 or xy.shape[1] != 2:
        raise OptionError("obsm['spatial']", found=f"shape {xy.shape}", expected="(n, 2)", fix="Keep x and y only.")
    return xy.astype(np.float64)  # unsigned integers would wrap at the first subtraction


def section_mpp(adata: AnnData, library_id: str) -> float:
    """Micrometres per full-resolution pixel of one section; never guessed."""
    where = f"uns['spatial'][{library_id!r}]['metadata']['mpp']"
    value = metadata(adata, library_id).get(LibraryKeys.MPP) if Keys.LIBRARIES in adata.uns else None
    if value is None:
        raise ScaleError(where, found="nothing", expected="um per pixel", fix=_how_to_set(adata, library_id))
    return check_mpp(value, source=where, fix=f"Set adata.{where}.")


def _how_to_set(adata: AnnData, library_id: str) -> str:
    if Keys.LIBRARIES not in adata.uns:
        return "After anndata.concat, pass uns_merge='unique' so that it keeps uns['spatial']; else hs.io.link_image()."
    fix = "Pass mpp= to the reader, or hs.io.link_image(adata, mpp=...)."
    rows = sections(adata).get(library_id)
    apart = spacing(positions(adata)[rows]) if rows is not None and Keys.SPATIAL in adata.obsm else None
    if apart is None:
        return fix
    return (
        f"{fix} Neighbouring spots are about {apart:.0f} px apart: on Visium (100 um) that is about {100 / apart:.3f}."
    )


def positions_um(adata: AnnData, library_key: str = Keys.LIBRARY_ID) -> NDArray[np.float64]:
    """Spot centres (n, 2) in micrometres, each section by its own scale."""
    xy = positions(adata)
    for name, rows in sections(adata, library_key).items():
        xy[rows] = to_um(xy[rows], section_mpp(adata, name))
    return xy
