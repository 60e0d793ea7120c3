"""What positions and the known geometry of the spot array say of a section."""

from dataclasses import dataclass

import numpy as np

from ..io._lattice import APART
from ._array import PITCH_UM, Array

_PITCH_APART = 0.05
_STRETCHED = 0.03  # printed and scanned arrays stay below 1.5 %
UNTOLD = "not known"
_OFF_PLACE = 0.25  # of the pitch, for all but one spot in twenty


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Attributes
    ----------
    check, found, value, unit, expected
        What was looked at, what was seen, as a number and in which unit, and what should be.
    ok
        Whether it is so; None where this can't be told.
    advice
        What to do, or why nothing can be told.
    """

    check: str
    found: str
    value: float
    unit: str
    expected: str
    ok: bool | None
    advice: str = ""


def untold(check: str, why: str, *, expected: str = "", unit: str = "") -> Check:
    """Check that can't be run."""
    return Check(check, UNTOLD, np.nan, unit, expected, None, why)


def array_checks(array: Array | None, mpp: float | None, *, indexed: bool) -> list[Check]:
    """Pitch, places, stretch and handedness; ``mpp`` is what the section says, ``indexed`` whether obs has indices."""
    if array is None:
        bins = "They are bins, not spots, or their array_row and array_col do not tell the array."
        why = bins if indexed else "obs lacks array_row and array_col, and positions alone show no known array."
        return [untold(name, why) for name in ("pitch", "places", "stretch", "handedness")]
    return [_pitch(array, mpp), *_index_checks(array)]


def _pitch(array: Array, mpp: float | None) -> Check:
    true = PITCH_UM[array.name]
    expected = f"{true:g} um ({array.name}) within {_PITCH_APART:.0%}"
    if mpp is None:
        fix = f"Say the scale: hs.io.link_image(adata, mpp={array.mpp:.4g}) by the pitch of the array."
        return untold("pitch", fix, expected=expected, unit="um")
    measured = true * mpp / array.mpp
    ok = abs(measured / true - 1) <= _PITCH_APART
    arrays = ", ".join(f"{name} {um:g}" for name, um in PITCH_UM.items())
    fix = "" if ok else (
        f"If positions fit the image, the scale is wrong: hs.io.link_image(adata, mpp={array.mpp:.4g}) makes them "
        f"{array.name}'s; else the positions are (see scale). Spots {measured:.1f} um apart are on no such array of those "
        f"known here ({arrays} um)."
    )  # fmt: skip
    return Check("pitch", f"{measured:.1f} um", measured, "um", expected, ok, fix)


def _index_checks(array: Array) -> list[Check]:
    if array.residuals_um is None:
        why = "obs lacks array_row and array_col."
        return [untold(name, why) for name in ("places", "stretch", "handedness")]
    pitch = PITCH_UM[array.name]
    most, off = _OFF_PLACE * pitch, float(np.quantile(array.residuals_um, 0.95))
    far = int((array.residuals_um > most).sum())
    places = Check(
        "places", f"{off:.0f} um, {far} spots beyond {most:.0f}", off, "um",
        f"95 % within {most:.0f} um of the ideal array", off <= most,
        "" if off <= most else "Positions and array_row, array_col do not belong together: join them by spot name again.",
    )  # fmt: skip
    stretched = array.stretch > _STRETCHED
    stretch = Check(
        "stretch", f"{array.stretch:.1%}", 100 * array.stretch, "%", f"at most {_STRETCHED:.0%}", not stretched,
        f"Distances are good to {array.stretch / 2:.0%}: the picture has another scale along x than along y."
        if stretched else "",
    )  # fmt: skip
    handed = Check(
        "handedness", "mirrored" if array.is_mirrored else "as the array", float("nan"), "", "as the array",
        not array.is_mirrored,
        "x and y are swapped, or positions (and the image?) are mirrored; see orientation." if array.is_mirrored else "",
    )  # fmt: skip
    return [places, stretch, handed]


def file_scale(mpp: float | None, own: float | None) -> Check:
    """Whether the section's um per pixel are those of the image file."""
    expected = "not known" if mpp is None else f"{mpp:.4g} um per pixel, as the section says, within {APART:.0%}"
    if own is None or mpp is None:
        why = "The image file says no um per pixel." if own is None else "The section says no um per pixel."
        return untold("file scale", why, expected=expected, unit="um per pixel")
    ok = abs(own / mpp - 1) <= APART
    fix = "" if ok else f"Where pitch agrees with the file: hs.io.link_image(adata, mpp={own:.4g})."
    return Check("file scale", f"{own:.4g}", own, "um per pixel", expected, ok, fix)
