"""Whether image and spots belong together as they are linked."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._keys import Keys, slug
from .._progress import progress
from .._record import AnnDatas, each, has, write
from .._sections import positions, sections
from .._types import check_types
from .._units import spacing, to_um
from ._checks_of_array import Check, array_checks, file_scale, untold
from ._checks_of_image import Evidence, counts_check, gather, mending, shift_check, standing_checks, tissue_check
from ._section_data import (
    Picture,
    Spots,
    array_of,
    counts_or_reason,
    is_indexed,
    mpp_or_none,
    picture_or_reason,
    placed_rows,
    spots_or_reason,
)
from ._shift import Shift
from ._verdict import after, first_to_mend, verdict

_WEAK = "The image predicts nothing of what the spots measured, wherever they are put."
_NO_OUTLINE = "No place of the array is known to be without a spot."


def check_registration(
    adata: AnnDatas,
    *,
    layer: str | None = None,
    library_key: str = Keys.LIBRARY_ID,
    random_state: int = 0,
) -> pd.DataFrame:
    """Check that spots lie where the image shows what they measured.

    The array: its ``pitch`` in um against the platform's, the distance of spots from their ideal ``places``, its
    ``stretch`` and ``handedness``. The image: the ``file scale``, and the share of spots on ``tissue``. Both together:
    local stain statistics predict, by cross-validated ridge regression in spatial blocks, the total counts and the
    leading components of expression, and which places of the array have a spot. They should do so best where the spots
    lie (``shift``, by expression; ``outline``, by spots and places without one), the way up they lie
    (``orientation``: mirrors, swapped axes, quarter turns; ``counts``: the same by the counts alone, which may be those
    of other spots) and at their ``scale`` (against a tenth more or less).
    What is best is drawn again from resampled blocks; where these don't agree the answer is that it can't be told.

    Bins finer than 50 um are pooled in squares of 100 um. Where there are more than 2,500 spots, a random choice of
    them is used.

    Parameters
    ----------
    adata
        A section, or a list of them.
    layer
        Layer with raw counts; ``layers["counts"]`` or ``X`` by default.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    random_state
        Seed of folds, bootstrap and choice.

    Returns
    -------
    A row for each section and check, the last one its ``verdict``: ``library_id``, ``check``, ``found``, ``value`` in
    ``unit``, what was ``expected``, whether it is ``ok`` (missing: it can't be told), and ``advice``, the call that
    mends it or why nothing can be told. Writes what :func:`histoscribe.pl.alignment` draws to
    ``uns["registration"]``, with the ``matrix`` that mends a section, and ``obs["on_tissue"]``.

    Raises
    ------
    MissingError
        There are no positions.
    CountsError
        ``layer`` holds no raw counts.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> table = hs.pp.check_registration(adata)
    >>> table.iloc[-1]["found"]
    'image and spots fit'
    """
    check_types(check_registration, locals())
    check("random_state", random_state, is_count(random_state, 0), "a whole number of 0 or more")
    adatas = each(adata)
    groups = [sections(one, library_key) for one in adatas]
    rows: list[dict[str, Any]] = []
    results = []
    with progress(desc="registration", total=sum(map(len, groups)), unit="section") as bar:
        for one, own in zip(adatas, groups, strict=True):
            counts = counts_or_reason(one, layer)
            on_tissue, stored = np.zeros(one.n_obs, dtype=bool), {}
            for name, members in own.items():
                checks, entry = _check_section(one, name, members, counts, on_tissue, random_state)
                rows += [{"library_id": name, **vars(each_check)} for each_check in checks]
                stored[slug(name)] = entry
                bar.update()
            results.append({Keys.REGISTRATION: stored, Keys.ON_TISSUE: on_tissue})
    params = {"layer": layer, "library_key": library_key, "random_state": random_state}
    for one, outputs in zip(adatas, results, strict=True):
        inputs = [slot for slot in (Keys.SPATIAL, Keys.LIBRARIES, Keys.COUNTS) if has(one, slot)]
        write(one, outputs, by="pp.check_registration", params=params, inputs=inputs)
    return pd.DataFrame(rows).astype({"ok": "boolean"})


def _check_section(
    adata: AnnData,
    name: str,
    members: NDArray[np.intp],
    counts: sp.csr_matrix | str,
    on_tissue: NDArray[np.bool_],
    random_state: int,
) -> tuple[list[Check], dict[str, Any]]:
    """All checks of one section, and what is kept of them; marks the spots on tissue."""
    mpp, rows = mpp_or_none(adata, name), placed_rows(adata, members)
    xy = positions(adata)
    array = array_of(adata, rows[0], mpp)
    spots = spots_or_reason(adata, rows, counts, array=array, mpp=mpp, random_state=random_state)
    apart = spots.pitch if isinstance(spots, Spots) else spacing(xy[rows[0]])
    picture = picture_or_reason(adata, name, apart) if apart else "there are not two positions"
    unit = apart or 1.0, mpp
    checks = array_checks(array, mpp, indexed=is_indexed(adata))
    checks.append(file_scale(mpp, picture.mpp if isinstance(picture, Picture) else None))
    evidence = Evidence()
    if isinstance(picture, str):
        checks.append(untold("tissue", _sentence(picture)))
    else:
        checks.append(tissue_check(picture, xy[rows[0]]))
        placed = np.concatenate(rows)
        on_tissue[placed] = picture.maps.tissue_at(xy[placed]) >= 0.5
        if isinstance(spots, Spots):
            evidence = gather(picture, spots, random_state=random_state)
    checks += _image_checks(evidence, [one for one in (picture, spots) if isinstance(one, str)], unit, name)
    mend = mending(evidence, unit[0])
    if first := first_to_mend(checks):
        checks = [after(one, first) for one in checks]
        evidence = replace(evidence, shift=None, outline=None)  # of spots that lie elsewhere
    checks.append(verdict(checks))
    return checks, _stored(checks, evidence, mend, unit=unit)


def _image_checks(
    evidence: Evidence, reasons: Sequence[str], unit: tuple[float, float | None], name: str
) -> list[Check]:
    """Orientation, scale, shift and outline, or the reasons why nothing is known of them."""
    apart, mpp = unit
    why = _sentence("; ".join(reasons)) if reasons else _WEAK
    call = f"hs.pp.align_affine(adata, {{{name!r}: adata.uns['registration'][{slug(name)!r}]['matrix']}})"
    checks = standing_checks(evidence.standing, why, call)
    first = first_to_mend(checks)
    checks.append(counts_check(evidence.by_counts, why))
    for label, shift in (("shift", evidence.shift), ("outline", evidence.outline)):
        reason = _NO_OUTLINE if label == "outline" and not reasons else why
        if first:
            shift, reason = None, f"The {first} comes first."
        checks.append(shift_check(label, shift, apart, mpp, reason, call))
    return checks


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}."  # str.capitalize() would change the names in it


def _stored(
    checks: Sequence[Check], evidence: Evidence, matrix: NDArray[np.float64], *, unit: tuple[float, float | None]
) -> dict[str, Any]:
    """Plain values and arrays of one section, as figures need them."""
    apart, mpp = unit
    step = float(to_um(apart, mpp)) if mpp is not None else apart
    said = {True: "yes", False: "no", None: "unknown"}
    entry: dict[str, Any] = {
        "check": np.array([one.check for one in checks], dtype=object),
        "found": np.array([one.found for one in checks], dtype=object),
        "ok": np.array([said[one.ok] for one in checks], dtype=object),
        "matrix": matrix,
        "unit": "um" if mpp is not None else "px",
    }
    for name, shift in (("shift", evidence.shift), ("outline", evidence.outline)):
        if shift is not None:
            entry[name] = _stored_shift(shift, step)
    if evidence.standing is not None:
        entry["placement"] = {
            "name": np.array(evidence.standing.names, dtype=object),
            "score": evidence.standing.scores,
        }
    return entry


def _stored_shift(shift: Shift, step: float) -> dict[str, Any]:
    return {"offset": step * shift.offsets, "score": shift.scores, "best": step * np.array(shift.best)}
