"""Sections as they are drawn: their spots, their scale and the part of the slide that is shown."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError, ScaleError
from .._keys import Keys, LibraryKeys, Slot
from .._record import has, record
from .._sections import misplaced, positions, section_mpp, sections
from .._units import spacing, to_px, to_um
from .._warn import warn
from ._extent import Box, diameter_of, extent, framed, inside, on_image, overlap, resized
from ._picture import library_entry, picture_size

log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class View:
    """One section and what is shown of it. Lengths are in full-resolution pixels.

    Attributes
    ----------
    adata, index
        Its AnnData, and the place of that among those passed.
    library_id
        Its name.
    rows, xy
        Spots inside the box, and their centres.
    diameter
        Of a spot, or the side of a tile.
    mpp
        Micrometres per pixel, where known.
    box
        What is shown.
    is_tiled
        Whether its observations are the tiles of a bare slide instead of spots.
    """

    adata: AnnData
    index: int
    library_id: str
    rows: NDArray[np.intp]
    xy: NDArray[np.float64]
    diameter: float
    mpp: float | None
    box: Box
    is_tiled: bool = False

    @property
    def width(self) -> float:
        """Width of what is shown."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> float:
        """Height of what is shown."""
        return self.box[3] - self.box[1]


def views(
    adatas: Sequence[AnnData],
    *,
    library_key: str,
    library_id: str | Sequence[str] | None,
    crop: Sequence[float] | None,
) -> list[View]:
    """All sections, or those named, in the order in which they are drawn."""
    found = [(i, name, rows) for i, one in enumerate(adatas) for name, rows in sections(one, library_key).items()]
    if library_id is not None:
        wanted = [library_id] if isinstance(library_id, str) else list(library_id)
        known = [name for _, name, _ in found]
        unknown = [name for name in wanted if name not in known]
        if unknown or not wanted:
            fix = "Name one or more of these, or leave library_id= out."
            raise MissingError("library_id", found=repr(unknown), expected=f"some of {known}", fix=fix)
        found = [one for name in wanted for one in found if one[1] == name]
    return [_view(adatas[i], i, name, rows, crop) for i, name, rows in found]


def same_scale(shown: list[View]) -> list[View]:
    """Give all views boxes of one size in um, so that sections can be compared; of one shape where um are unknown."""
    known = [view.mpp for view in shown]
    units = [mpp for mpp in known if mpp is not None]
    if len(units) < len(shown):
        units = [1 / max(view.width, view.height) for view in shown]
    w = max(view.width * unit for view, unit in zip(shown, units, strict=True))
    h = max(view.height * unit for view, unit in zip(shown, units, strict=True))
    return [replace(view, box=resized(view.box, w / unit, h / unit)) for view, unit in zip(shown, units, strict=True)]


def mpp_of(adata: AnnData, library_id: str) -> float | None:
    """Micrometres per pixel of a section, None where nobody says; one that can't be is still an error."""
    said = library_entry(adata, library_id).get(LibraryKeys.METADATA, {}).get(LibraryKeys.MPP)
    return None if said is None else section_mpp(adata, library_id)


def warn_of_places(adatas: Sequence[AnnData], library_key: str) -> None:
    """Warn of spots beside their image; they are drawn, for that is how to see what is wrong."""
    for one in adatas:
        for error in misplaced(one, library_key):
            warn(str(error))


def log_without_scale(shown: Sequence[View]) -> None:
    """Say in one line which sections can't have a scale bar."""
    unknown = [view.library_id for view in shown if view.mpp is None]
    if unknown:
        named = f"uns['spatial'][library_id]['metadata']['{LibraryKeys.MPP}']"
        log.warning("no scale bar for %s: um per pixel are missing; set %s", ", ".join(unknown), named)


def _view(adata: AnnData, index: int, name: str, rows: NDArray[np.intp], crop: Sequence[float] | None) -> View:
    xy = positions(adata)[rows]
    placed = np.isfinite(xy).all(axis=1)
    if not placed.any():
        raise OptionError(
            "obsm['spatial']",
            found=f"no finite position in section {name!r}",
            expected="x and y of its spots",
            fix="Read the section again with its spot positions.",
        )
    if not placed.all():
        log.warning("%s: %d spots without a position are left out", name, int((~placed).sum()))
    rows, xy = rows[placed], xy[placed]
    tiled, apart = _is_tiled(adata, rows), spacing(xy)
    diameter = diameter_of(_said_diameter(adata, name, rows if tiled else None), apart)
    box = _whole(adata, name, xy, diameter, apart) if crop is None else _cropped(adata, name, crop, xy, diameter)
    shown = inside(xy, box, diameter)
    return View(adata, index, name, rows[shown], xy[shown], diameter, mpp_of(adata, name), box, tiled)


def _is_tiled(adata: AnnData, rows: NDArray[np.intp]) -> bool:
    if not (has(adata, Keys.TISSUE_FRACTION) and has(adata, Keys.TILES)):
        return False
    made = {slot: _maker(adata, slot) for slot in (Keys.TISSUE_FRACTION, Keys.SPATIAL)}
    if made[Keys.TISSUE_FRACTION] == "pp.tissue_mask" and made[Keys.SPATIAL] != "io.tile_slide":
        return False  # spots whose tissue was measured
    return bool(adata.obs[Keys.TISSUE_FRACTION].iloc[rows].notna().all())  # sections of both kinds can be joined


def _maker(adata: AnnData, slot: Slot) -> str | None:
    """Name the function that wrote a slot; None where the record was lost, as in joined sections."""
    return record(adata, slot).get("by")


def _said_diameter(adata: AnnData, library_id: str, tiles: NDArray[np.intp] | None) -> float:
    factors = library_entry(adata, library_id).get(LibraryKeys.SCALEFACTORS, {})
    said = float(factors.get(LibraryKeys.SPOT_DIAMETER, np.nan))
    if tiles is not None and not np.isfinite(said):  # uns is lost when sections are joined
        return float(np.nanmedian(np.asarray(adata.obsm[Keys.TILES])[tiles, 2]))
    return said


def _whole(adata: AnnData, name: str, xy: NDArray[np.float64], diameter: float, apart: float | None) -> Box:
    """Box of all spots but those that an image doesn't hold: a few strays would make the section a speck."""
    image = picture_size(adata, name)
    if image is not None:
        held = on_image(xy, image, beyond=apart or diameter)
        if not held.all():
            log.warning("%s: %d spots lie outside the image and are left out of the view", name, int((~held).sum()))
        xy = xy[held]
    return framed(extent(xy, diameter), apart, image)


def _cropped(adata: AnnData, library_id: str, crop: Sequence[float], xy: NDArray[np.float64], diameter: float) -> Box:
    if mpp_of(adata, library_id) is None:
        fix = "Set it, or leave crop= out: it is in micrometres."
        raise ScaleError(f"mpp of section {library_id!r}", found="nothing", expected="um per pixel", fix=fix)
    mpp = section_mpp(adata, library_id)
    spots = framed(extent(xy, diameter), spacing(xy), picture_size(adata, library_id))
    box = tuple(float(v) for v in to_px(crop, mpp))
    if not overlap(box, spots):
        span = ", ".join(f"{v:.0f}" for v in to_um(spots, mpp))
        raise OptionError(
            "crop",
            found=f"{tuple(crop)}, which shows nothing of section {library_id!r}",
            expected="(x0, y0, x1, y1) in um from the upper left corner of the image, x0 < x1 and y0 < y1",
            fix=f"The section spans ({span}).",
        )
    x0, y0, x1, y1 = box
    return x0, y0, x1, y1
