"""Sections of an AnnData: their rows, positions, scale and linked image."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from ._errors import ImageError, MissingError, OptionError, ScaleError
from ._keys import Keys, LibraryKeys
from ._record import require
from ._units import check_mpp, spacing, to_um

_LEAST_INSIDE = 0.5  # of the spots; some may stick out over the border
_BORDER_PX = 1.0  # sizes and scales of pictures are rounded
_GAIN = 0.05  # of the spots, by which swapped axes must fit better: a few at the border prove nothing
_PICTURES = {LibraryKeys.HIRES: LibraryKeys.HIRES_SCALE, LibraryKeys.LOWRES: LibraryKeys.LOWRES_SCALE}


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
        column = column.cat.remove_unused_categories()
        names = [str(name) for name in column.cat.categories]
        if len(set(names)) < len(names):  # 1 and "1"
            fix = f"Make it text: adata.obs[{str(library_key)!r}] = adata.obs[{str(library_key)!r}].astype(str)."
            expected = "names that differ as text"
            raise OptionError(f"obs[{str(library_key)!r}]", found=f"{names}", expected=expected, fix=fix)
        return {name: np.flatnonzero(column.cat.codes == code) for code, name in enumerate(names)}
    named = list(adata.uns.get(Keys.LIBRARIES, {}))
    if len(named) > 1 or library_key != Keys.LIBRARY_ID:
        raise MissingError(
            f"obs[{str(library_key)!r}]",
            found=f"no such column, and {len(named)} libraries in uns['spatial']: {named}",
            expected="the section of each row",
            fix=_column_to_pass(adata, library_key, named),
        )
    return {named[0] if named else "section": np.arange(adata.n_obs)}


def _column_to_pass(adata: AnnData, library_key: str, named: list[str]) -> str:
    """Say which column names the sections, where several are known; any other would cut them elsewhere."""
    if len(named) < 2:
        return f"Pass library_key=, one of {list(adata.obs)}."
    fitting = [str(name) for name in adata.obs if set(adata.obs[name].astype(str)) == set(map(str, named))]
    if fitting:
        return f"Pass library_key={fitting[0]!r}."
    return f"Write the section of each row into obs[{str(library_key)!r}], by these names."


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
    if isinstance(xy, pd.DataFrame):
        named = {str(column).lower(): column for column in xy.columns}
        xy = (xy[[named["x"], named["y"]]] if {"x", "y"} <= set(named) else xy).to_numpy()
    xy = np.asarray(xy)
    if xy.ndim != 2 or xy.shape[1] != 2:
        fix = "Keep x and y only: adata.obsm['spatial'] = adata.obsm['spatial'][:, :2]."
        raise OptionError("obsm['spatial']", found=f"shape {xy.shape}", expected="(n, 2)", fix=fix)
    try:
        return xy.astype(np.float64)  # unsigned integers would wrap at the first subtraction
    except (TypeError, ValueError) as error:
        fix = "Convert them: adata.obsm['spatial'] = adata.obsm['spatial'].astype(float)."
        raise OptionError("obsm['spatial']", found=f"values of type {xy.dtype}", expected="numbers", fix=fix) from error


def check_placed(xy: NDArray[np.float64]) -> None:
    """Refuse positions that are missing, where every spot needs one."""
    missing = int((~np.isfinite(xy).all(axis=1)).sum())
    if missing:
        fix = "Leave these spots out: adata = adata[np.isfinite(adata.obsm['spatial']).all(axis=1)].copy()."
        raise OptionError("obsm['spatial']", found=f"{missing} spots without a position", expected="numbers", fix=fix)


def check_places(adata: AnnData, library_key: str = Keys.LIBRARY_ID) -> None:
    """Refuse positions beside their section's image: swapped axes, a wrong scale factor, another section's image."""
    for error in misplaced(adata, library_key):
        raise error


def misplaced(adata: AnnData, library_key: str = Keys.LIBRARY_ID) -> Iterator[ImageError]:
    """Yield what is wrong with each section whose spots lie beside its image.

    The image is as large as the small picture of the section and its scale factor say; nothing is opened.
    """
    xy = positions(adata)
    for name, rows in sections(adata, library_key).items():
        placed = xy[rows][np.isfinite(xy[rows]).all(axis=1)]
        sizes = _sizes(adata, name)
        if not sizes or not len(placed):
            continue
        # Small pictures may contradict each other: one that the spots fit is enough.
        where, size = max(sizes.items(), key=lambda item: share_inside(placed, *item[1]))
        inside, swapped = share_inside(placed, *size), share_inside(placed[:, ::-1], *size)
        if inside >= _LEAST_INSIDE and swapped <= inside + _GAIN:
            continue
        (x0, y0), (x1, y1) = placed.min(axis=0), placed.max(axis=0)
        fix = f"Correct that scale factor, or the image: hs.io.link_image(adata, image, library_id={name!r})."
        yield ImageError(
            f"obsm['spatial'] of section {name!r}",
            found=f"{inside:.0%} of {len(placed)} spots inside the image (x {x0:.0f} to {x1:.0f}, y {y0:.0f} to {y1:.0f})",
            expected=f"positions within {size[0]:.0f} x {size[1]:.0f} full-resolution pixels, by {where}",
            fix=swapped_hint(swapped) if swapped > inside + _GAIN else fix,
        )


def swapped_hint(share: float) -> str:
    """Say that x and y are swapped: exchanged, this share of the spots falls inside the image."""
    call = "adata.obsm['spatial'] = adata.obsm['spatial'][:, ::-1]."
    return f"x and y appear swapped: exchanged, {share:.0%} fall inside. Exchange them: {call}"


def share_inside(xy: NDArray[np.float64], width: float, height: float) -> float:
    """Share of positions in an image; its border counts."""
    return float(((xy >= -_BORDER_PX) & (xy <= np.add((width, height), _BORDER_PX))).all(axis=1).mean())


def _sizes(adata: AnnData, name: str) -> dict[str, tuple[float, float]]:
    """Width and height of a section's image in full-resolution pixels, by each small picture that says it."""
    entry = adata.uns.get(Keys.LIBRARIES, {}).get(name, {})
    pictures, factors = entry.get(LibraryKeys.IMAGES, {}), entry.get(LibraryKeys.SCALEFACTORS, {})
    sizes = {}
    for key, factor in _PICTURES.items():
        scale = factors.get(factor)
        if key in pictures and isinstance(scale, (int, float, np.number)) and 0 < scale < np.inf:
            height, width = np.shape(pictures[key])[:2]
            sizes[f"images[{key!r}] and scalefactors[{factor!r}]"] = float(width / scale), float(height / scale)
    return sizes


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
