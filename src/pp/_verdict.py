"""One answer from many checks."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ._checks_of_array import UNTOLD, Check
from ._placements import AS_LINKED

FITS, WRONG, UNKNOWN = "image and spots fit", "image and spots do not fit", "cannot tell"

# What makes a section misregistered; stretch alters distances alone, and handedness counts where the image is silent.
_DECIDING = ("pitch", "places", "file scale", "tissue", "orientation", "scale", "counts", "shift", "outline")
_EXPLAINING = ("orientation", "handedness", "scale", "pitch", "file scale", "outline", "counts", "shift", "places")


def verdict(checks: Sequence[Check]) -> Check:
    """Last row of a section: whether it can be used as it is, and what to do first if not."""
    by_name = {one.check: one for one in checks}
    wrong = [one for name in _DECIDING if (one := by_name[name]).ok is False]
    if by_name["handedness"].ok is False and by_name["orientation"].ok is not True:
        wrong.append(by_name["handedness"])
    if wrong:
        first = _first(wrong)
        found = f"{WRONG}: {first.check}, {first.found}"
        return Check("verdict", found, float("nan"), "", FITS, ok=False, advice=first.advice)
    remark = by_name["stretch"].advice if by_name["stretch"].ok is False else ""
    if by_name["pitch"].ok is None and by_name["file scale"].ok is None:
        remark = f"{remark} In pixels: neither array nor image file confirms the um per pixel.".strip()
    missing = _missing(by_name)
    if missing:
        return Check("verdict", f"{UNKNOWN}: {missing}", float("nan"), "", FITS, None, _how_to_tell(by_name))
    return Check("verdict", FITS, float("nan"), "", FITS, ok=True, advice=remark)


def first_to_mend(checks: Sequence[Check]) -> str:
    """Check whose mending the others must wait for; empty where there is none."""
    return next((one.check for one in checks if one.check in ("orientation", "scale") and one.ok is False), "")


def after(one: Check, first: str) -> Check:
    """Take back advice that would lead astray before orientation and scale are mended."""
    waits = one.ok is not True and one.check in ("pitch", "places", "counts")
    return replace(one, advice=f"The {first} comes first.") if waits else one


def _first(wrong: Sequence[Check]) -> Check:
    """Find the one that explains most: what turns or moves spots comes before what follows from it."""
    named = {one.check: one for one in wrong}
    return next((named[name] for name in _EXPLAINING if name in named), wrong[0])


def _missing(checks: Mapping[str, Check]) -> str:
    """Say what would have to be known; empty where enough is."""
    if checks["tissue"].found == UNTOLD:  # there is no picture to look at
        why = checks["tissue"].advice.rstrip(".")
        return why[:1].lower() + why[1:]
    if checks["scale"].ok is None and checks["pitch"].ok is None:
        return "neither the image nor an array says that positions have the right scale"
    if checks["orientation"].ok is None:
        return "the image does not say which way up the spots lie"
    if checks["shift"].ok is True:
        return ""
    if checks["outline"].ok is True:
        # Positions fit the tissue; that counts belong to these positions takes some sign of it in the image.
        likely = checks["counts"].found == AS_LINKED
        return "" if likely else "spots fit the tissue's outline, but the image does not say that their counts do"
    return "the image does not say exactly enough where the spots lie"


def _how_to_tell(checks: Mapping[str, Check]) -> str:
    look = "Look at hs.pl.alignment(adata) and hs.pl.spatial(adata): spots must lie on what they measured."
    why = checks["orientation"].advice or checks["counts"].advice or checks["shift"].advice
    return f"{why} {look}"
