"""Sections as they are drawn: their spots, their scale and the part of the slide that is shown."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError, ScaleError
from .._keys import Keys, LibraryKeys
from .._sections import positions, section_mpp, sections
from .._units import pitch, to_px, to_um

Box: TypeAlias = tuple[float, float, float, float]  # x0, y0, x1, y1

_SPOT_OF_PITCH = 0.5  # ST: 100 of 200 um; Visium: 55 of 100 um
_MARGIN = 0.03  # of the longer side, around the spots
_LONE_SPOT_PX = 100.0

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
        Of a spot.
    mpp
        Micrometres per pixel, where known.
    box
        What is shown.
    """

    adata: AnnData
    index: int
    library_id: str
    rows: NDArray[np.intp]
    xy: NDArray[np.float64]
    diameter: float
    mpp: float | None
    box: Box

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
    return [replace(view, box=_around(view.box, w / unit, h / unit)) for view, unit in zip(shown, units, strict=True)]


def mpp_of(adata: AnnData, library_id: str) -> float | None:
    """Micrometres per pixel of a section, None where nobody says; one that can't be is still an error."""
    entry = adata.uns.get(Keys.LIBRARIES, {}).get(library_id, {})
    said = entry.get(LibraryKeys.METADATA, {}).get(LibraryKeys.MPP)
    return None if said is None else section_mpp(adata, library_id)


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
    diameter, mpp = _diameter(adata, name, xy), mpp_of(adata, name)
    spots = _extent(xy, diameter)
    box = spots if crop is None else _cropped(adata, name, crop, spots)
    inside = _inside(xy, box, diameter)
    return View(adata, index, name, rows[inside], xy[inside], diameter, mpp, box)


def _diameter(adata: AnnData, library_id: str, xy: NDArray[np.float64]) -> float:
    factors = adata.uns.get(Keys.LIBRARIES, {}).get(library_id, {}).get(LibraryKeys.SCALEFACTORS, {})
    said = float(factors.get(LibraryKeys.SPOT_DIAMETER, np.nan))
    if np.isfinite(said) and said > 0:
        return said
    return pitch(xy) * _SPOT_OF_PITCH if len(np.unique(xy, axis=0)) > 1 else _LONE_SPOT_PX


def _extent(xy: NDArray[np.float64], diameter: float) -> Box:
    low, high = xy.min(axis=0), xy.max(axis=0)
    margin = diameter / 2 + _MARGIN * max(*(high - low), diameter)
    (x0, y0), (x1, y1) = low - margin, high + margin
    return float(x0), float(y0), float(x1), float(y1)


def _cropped(adata: AnnData, library_id: str, crop: Sequence[float], spots: Box) -> Box:
    if mpp_of(adata, library_id) is None:
        fix = "Set it, or leave crop= out: it is in micrometres."
        raise ScaleError(f"mpp of section {library_id!r}", found="nothing", expected="um per pixel", fix=fix)
    mpp = section_mpp(adata, library_id)
    x0, y0, x1, y1 = (float(v) for v in to_px(crop, mpp)) if len(crop) == 4 else (np.nan,) * 4
    overlaps = x0 < x1 and y0 < y1 and x0 < spots[2] and x1 > spots[0] and y0 < spots[3] and y1 > spots[1]
    if not overlaps:
        extent = ", ".join(f"{v:.0f}" for v in to_um(spots, mpp))
        raise OptionError(
            "crop",
            found=f"{tuple(crop)}, which shows nothing of section {library_id!r}",
            expected="(x0, y0, x1, y1) in um from the upper left corner of the image, x0 < x1 and y0 < y1",
            fix=f"The section spans ({extent}).",
        )
    return x0, y0, x1, y1


def _inside(xy: NDArray[np.float64], box: Box, diameter: float) -> NDArray[np.bool_]:
    low, high = np.array(box[:2]) - diameter / 2, np.array(box[2:]) + diameter / 2
    return np.all((xy > low) & (xy < high), axis=1)


def _around(box: Box, width: float, height: float) -> Box:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2
