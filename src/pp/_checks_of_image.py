"""What the image says of where a section's spots lie."""

from dataclasses import dataclass

import numpy as np

from .._units import to_um
from ._checks_of_array import Check, untold
from ._evidence import Sites, make_sites
from ._orientation import Standing, compare
from ._placements import AS_LINKED, Floats, displaced, hypotheses
from ._section_data import Picture, Spots
from ._shift import LEAST_SCORE, Shift, find_shift

_LEAST_EMPTY = 12  # places without a spot that make an outline
_LEAST_BLOCKS = 6
_SHARE = "share of bootstrap draws"
_MOST_TISSUE = 0.9  # of the picture: more leaves nothing to miss
_MOST_ON = 0.5  # of what could be gained over chance


@dataclass(frozen=True)
class Evidence:
    """What the image says of one section, by counts and outline, or by counts alone; None where it says nothing."""

    standing: Standing | None = None
    by_counts: Standing | None = None
    shift: Shift | None = None
    outline: Shift | None = None


def gather(picture: Picture, spots: Spots, *, random_state: int) -> Evidence:
    """Score displacements and orientations."""
    inside = ((spots.empty >= 0) & (spots.empty <= picture.size)).all(axis=1)
    empty = spots.empty[inside] if inside.sum() >= _LEAST_EMPTY else spots.empty[:0]
    sites = make_sites(spots.xy, spots.counts, empty, spots.pitch)
    if sites.n_blocks < _LEAST_BLOCKS:
        return Evidence()
    candidates = hypotheses(spots.xy, picture.size)
    trials = compare(picture.maps, sites, spots.pitch, candidates, random_state=random_state)
    n, n_measured = len(spots.xy), sites.targets.shape[1] - bool(len(empty))
    standing, by_counts = trials.standing(), trials.standing(n_measured)
    measured = Sites(sites.xy[:n], sites.targets[:n, :n_measured], sites.block[:n])
    shift = find_shift(picture.maps, measured, spots.pitch, random_state=random_state)
    if not len(empty):
        return Evidence(standing, by_counts, shift)
    taken = Sites(sites.xy, sites.targets[:, -1:], sites.block)
    return Evidence(standing, by_counts, shift, find_shift(picture.maps, taken, spots.pitch, random_state=random_state))


def tissue_check(picture: Picture, xy: Floats) -> Check:
    """Whether spots lie on tissue more often than they would anywhere on the picture."""
    on, chance = float((picture.maps.tissue_at(xy) >= 0.5).mean()), float(picture.maps.tissue.mean())
    expected = f"well above {chance:.0%}, the tissue's share of the picture"
    found = f"{on:.0%} of the spots"
    if not 0 < chance <= _MOST_TISSUE:
        why = "No tissue is found on the picture." if chance == 0 else "Tissue fills the picture."
        return Check("tissue", found, on, "share", expected, None, why)
    ok = on - chance >= _MOST_ON * (1 - chance)
    return Check("tissue", found, on, "share", expected, ok, "" if ok else "See orientation, scale and shift.")


def standing_checks(standing: Standing | None, why: str, call: str) -> list[Check]:
    """Orientation and scale."""
    if standing is None:
        return [untold(name, why, expected=AS_LINKED) for name in ("orientation", "scale")]
    checks = []
    turned = standing.orientation()
    for name, found in (("orientation", turned), ("scale", standing.scale())):
        k, share = found
        ok = standing.verdict(found)
        if name == "scale" and standing.verdict(turned) is False:
            checks.append(untold(name, "The orientation comes first.", expected=AS_LINKED))
            continue
        advice = "" if ok else f"Mend it: {call}, then check again." if ok is False else "Image and spots can't tell."
        checks.append(Check(name, standing.names[k], share, _SHARE, AS_LINKED, ok, advice))
    return checks


def counts_check(by_counts: Standing | None, why: str) -> Check:
    """Orientation by the counts alone: that of other spots, where counts and positions were joined wrongly."""
    if by_counts is None:
        return untold("counts", why, expected=AS_LINKED)
    found = by_counts.orientation()
    ok = by_counts.verdict(found)
    advice = {
        True: "",
        False: "If orientation is right, the counts are of other spots: join counts and positions by spot name again.",
        None: "The counts alone can't tell.",
    }[ok]
    return Check("counts", by_counts.names[found[0]], found[1], _SHARE, AS_LINKED, ok, advice)


def shift_check(name: str, shift: Shift | None, pitch: float, mpp: float | None, why: str, call: str) -> Check:
    """Displacement at which the image predicts best; ``pitch`` in pixels."""
    apart = float(to_um(pitch, mpp)) if mpp is not None else pitch
    unit = "um" if mpp is not None else "px"
    expected = f"within {apart / 2:.0f} {unit}"
    if shift is None or shift.score < LEAST_SCORE:
        return untold(name, why, expected=expected, unit=unit)
    dx, dy = apart * shift.best[0], apart * shift.best[1]
    found = f"best at {dx:+.0f}, {dy:+.0f} {unit} (x, y)"
    advice = {
        True: "",
        False: f"Mend it: {call}, then check again.",
        None: f"{shift.at_zero:.0%} of bootstrap draws lie near 0: too few to say.",
    }[shift.ok]
    return Check(name, found, float(np.hypot(dx, dy)), unit, expected, shift.ok, advice)


def mending(evidence: Evidence, pitch: float) -> Floats:
    """Affine map (3, 3) of positions that mends what is wrong, as far as the image tells."""
    standing = evidence.standing
    if standing is not None:
        for found in (standing.orientation(), standing.scale()):
            if standing.verdict(found) is False:
                return standing.matrices[found[0]]
    for shift in (evidence.outline, evidence.shift):
        if shift is not None and shift.ok is False:
            return displaced(np.eye(3), pitch * np.array(shift.best))
    return np.eye(3)
