"""Which spots are held out to stop early by: of whole patients or sections where there are enough, else blocks."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import Keys, LibraryKeys
from .._sections import metadata, positions, sections
from .._warn import warn

_LEAST_HELD_OUT, _MOST_FOR_LEAST = 16, 0.25
_BLOCKS, _LEAST_UNITS = 3, 5

Positions = Callable[[NDArray[np.intp]], NDArray[np.float64]]
"""Rows of one section → their positions (n, 2)."""


def patients_of(adata: AnnData, rows: Mapping[str, NDArray[np.intp]]) -> tuple[str | None, ...]:
    """Return the patient of each section, by ``obs["patient"]`` or its metadata; None where that is not known."""
    return tuple(_patient(adata, name, own) for name, own in rows.items())


def _patient(adata: AnnData, name: str, rows: NDArray[np.intp]) -> str | None:
    if Keys.PATIENT in adata.obs:
        column = adata.obs[Keys.PATIENT].iloc[rows]
        return None if column.isna().any() else "+".join(sorted(set(column.astype(str))))
    known = name in adata.uns.get(Keys.LIBRARIES, {})
    patient = metadata(adata, name).get(LibraryKeys.PATIENT) if known else None
    return None if patient is None else str(patient)


def held_out_of(
    adatas: Sequence[AnnData],
    section: NDArray[np.integer],
    rows: NDArray[np.bool_],
    fraction: float,
    random_state: int,
    *,
    library_key: str = Keys.LIBRARY_ID,
) -> NDArray[np.bool_]:
    """Choose validation spots among ``rows`` of sections in memory, as :func:`held_out` does."""
    xy = np.concatenate([positions(one) for one in adatas])
    patients = [patient for one in adatas for patient in patients_of(one, sections(one, library_key))]
    return held_out(xy.__getitem__, section, rows, fraction, random_state, patients=patients)


def held_out(
    xy: Positions,
    section: NDArray[np.integer],
    rows: NDArray[np.bool_],
    fraction: float,
    random_state: int,
    *,
    patients: Sequence[str | None],
) -> NDArray[np.bool_]:
    """Choose validation spots among ``rows``.

    They are of whole patients where five are known, else whole sections where there are five, else blocks of each
    section. Neighbouring spots share tissue and transcripts, so spots held out at random would tell nothing of new tissue.

    Parameters
    ----------
    xy
        Gives positions.
    section
        Number of each row's section (n,).
    rows
        Those that count (n,).
    fraction
        Share that is held out.
    random_state
        Seed.
    patients
        Whose each section is.
    """
    none = np.zeros(len(rows), dtype=bool)
    if fraction == 0:
        return none
    least = _LEAST_HELD_OUT / max(int(rows.sum()), 1)  # a loss over fewer spots is noise
    if least > _MOST_FOR_LEAST:
        msg = f"{rows.sum()} spots are too few to hold some out and stop early; training runs all epochs on all of them"
        warn(msg)
        return none
    fraction, rng = max(fraction, least), np.random.default_rng(random_state)
    whole = whole_sections(np.unique(section[rows]).tolist(), patients, fraction, rng)
    if whole is not None:
        return rows & np.isin(section, whole)
    return blocks(xy, section, rows, fraction, rng)


def whole_sections(
    there: Sequence[int], patients: Sequence[str | None], fraction: float, rng: np.random.Generator
) -> list[int] | None:
    """Choose the sections of some patients, or some sections; None where there are fewer than five of either."""
    known = sorted({patient for name in there if (patient := patients[name]) is not None})
    units = known if len(known) >= _LEAST_UNITS else list(there)
    if len(units) < _LEAST_UNITS:
        return None
    numbers = rng.choice(len(units), size=max(1, round(fraction * len(units))), replace=False)
    chosen = {units[number] for number in numbers}
    return [name for name in there if (patients[name] if units is known else name) in chosen]


def blocks(
    xy: Positions,
    section: NDArray[np.integer],
    rows: NDArray[np.bool_],
    fraction: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Mark round blocks of neighbouring spots in each section, of about a share of ``rows`` in all."""
    chosen = np.zeros(len(rows), dtype=bool)
    for name in np.unique(section[rows]):
        own = np.flatnonzero(rows & (section == name))
        places = xy(own)
        placed = np.isfinite(places).all(axis=1)
        own, places = own[placed], places[placed]
        for _ in range(_BLOCKS):
            left = np.flatnonzero(~chosen[own])
            size = min(len(left), round(fraction * len(own) / _BLOCKS))
            if size:
                distance = np.linalg.norm(places[left] - places[rng.choice(left)], axis=1)
                chosen[own[left[np.argsort(distance, kind="stable")[:size]]]] = True
    return chosen
