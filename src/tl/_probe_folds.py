"""How probes split: whole patients (or whatever unit is named) are held out, and choices are made inside the rest."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from .._keys import Keys
from .._record import AnnDatas, each
from .._sections import positions, positions_um, sections

Values: TypeAlias = str | Sequence[str]
Folds: TypeAlias = Sequence[tuple[Values, Values]] | Mapping[str, tuple[Values, Values]] | None

_INNER = 5
_PATIENT, _SAME, _UNKNOWN = "patient", "same patient", "patients not known"

log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class Piece:
    """Rows of one section that belong to one unit of the split."""

    adata: AnnData
    rows: NDArray[np.intp]
    section: str
    unit: str
    patient: str | None

    def view(self) -> AnnData:
        """Return the rows as an AnnData of their own."""
        return self.adata[self.rows]

    def xy_um(self, library_key: str) -> NDArray[np.float64]:
        """Return the positions of the rows in um."""
        return positions_um(self.adata, library_key)[self.rows]


@dataclass(frozen=True)
class Fold:
    """One split: numbers of the pieces on either side."""

    name: str
    split: str
    train: tuple[int, ...]
    test: tuple[int, ...]


def pieces_of(adatas: AnnDatas, unit_key: str, library_key: str) -> list[Piece]:
    """Cut what the user passed into sections by units."""
    pieces: list[Piece] = []
    for one in each(adatas):
        units = _column(one, unit_key)
        patients = _column(one, Keys.PATIENT) if Keys.PATIENT in one.obs else None
        for name, rows in sections(one, library_key).items():
            for unit in dict.fromkeys(units[rows]):
                own = rows[units[rows] == unit]
                whose = "+".join(dict.fromkeys(patients[own])) if patients is not None else None
                taken = sum(piece.section.split("#")[0] == name for piece in pieces)
                pieces.append(Piece(one, own, f"{name}#{taken + 1}" if taken else name, unit, whose))
    return pieces


def _column(adata: AnnData, key: str) -> NDArray[np.object_]:
    field = f"obs[{str(key)!r}]"
    if key not in adata.obs:
        fix = "Name the column of the patients: patients=..., or fill it: adata.obs['patient'] = ..."
        raise MissingError(field, found=f"only {list(adata.obs)}", expected="who a spot is from", fix=fix)
    column = adata.obs[key]
    if column.isna().any():
        fix = "Fill them in, or leave these spots out."
        raise OptionError(field, found=f"{int(column.isna().sum())} missing", expected="a value for each", fix=fix)
    return column.astype(str).to_numpy(dtype=object)


def folds_of(pieces: Sequence[Piece], folds: Folds, unit_key: str) -> list[Fold]:
    """Leave out each unit once, or split as the user says; same-patient splits are told apart and logged."""
    units = sorted({piece.unit for piece in pieces})
    if folds is None:
        if len(units) < 2:
            finer = len({piece.section for piece in pieces}) > 1
            fix = "Pass sections of another patient" + (", or a finer unit: patients='library_id'." if finer else ".")
            raise OptionError(f"obs[{str(unit_key)!r}]", found=f"{units} alone", expected="two or more", fix=fix)
        named = {unit: ([other for other in units if other != unit], [unit]) for unit in units}
    else:
        named = _named(folds)
    made = [_fold(name, _check(name, pair, units, unit_key), pieces, unit_key) for name, pair in named.items()]
    same = [fold.name for fold in made if fold.split == _SAME]
    if same:
        log.warning("%d folds train and test on one patient (%s): interpolation, no claim beyond it", len(same), same)
    return made


def _named(folds: Any) -> dict[str, tuple[list[str], list[str]]]:
    expected = "pairs (train values, test values), or a mapping of names to them"
    fix = "For example folds=[('C', 'B')]."
    pairs = list(folds.values()) if isinstance(folds, Mapping) else list(folds)
    if not pairs or not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in pairs):
        raise OptionError("folds", found=repr(folds)[:80], expected=expected, fix=fix)
    split = [tuple([str(v) for v in ([side] if isinstance(side, str) else side)] for side in pair) for pair in pairs]
    names = list(folds) if isinstance(folds, Mapping) else ["+".join(test) for _, test in split]
    if len(set(names)) < len(names):
        fix = "Name them: folds={'first': (train, test), ...}."
        raise OptionError("folds", found=f"names {names}", expected="a name of its own for each", fix=fix)
    return {str(name): (train, test) for name, (train, test) in zip(names, split, strict=True)}


def _check(
    name: str, pair: tuple[list[str], list[str]], units: Sequence[str], unit_key: str
) -> tuple[list[str], list[str]]:
    train, test = pair
    unknown = sorted({*train, *test} - set(units))
    if unknown or not train or not test:
        found = f"{unknown} in {name!r}" if unknown else f"nothing to train or to test on in {name!r}"
        expected = f"values of obs[{str(unit_key)!r}]: {list(units)}"
        raise OptionError("folds", found=found, expected=expected, fix="Name some of these on either side.")
    both = sorted(set(train) & set(test))
    if both:
        fix = "Keep each on one side."
        raise OptionError("folds", found=f"{both} in train and in test of {name!r}", expected="no overlap", fix=fix)
    return pair


def _fold(name: str, pair: tuple[list[str], list[str]], pieces: Sequence[Piece], unit_key: str) -> Fold:
    sides = [tuple(k for k, piece in enumerate(pieces) if piece.unit in side) for side in pair]
    whose = [{pieces[k].patient for k in side} for side in sides]
    if None in whose[0] | whose[1]:  # no obs["patient"]: the column that was named is taken at its word
        split = _UNKNOWN if unit_key == Keys.LIBRARY_ID else _PATIENT
    else:
        split = _SAME if whose[0] & whose[1] else _PATIENT
    return Fold(name, split, sides[0], sides[1])


def inner_groups(pieces: Sequence[Piece]) -> tuple[list[NDArray[np.intp]], str]:
    """Group of each training row for choices: units, sections where there is one unit, blocks where one section."""
    for kind, names in (("unit", [p.unit for p in pieces]), ("section", [p.section for p in pieces])):
        known = list(dict.fromkeys(names))
        if len(known) > 1:
            of = _even(known, names, [len(p.rows) for p in pieces])
            return [np.full(len(p.rows), of[name]) for p, name in zip(pieces, names, strict=True)], kind
    return [_quadrants(positions(pieces[0].adata)[pieces[0].rows])], "block"


def _even(known: Sequence[str], names: Sequence[str], sizes: Sequence[int]) -> dict[str, int]:
    """Up to five groups of about equal size, each name in one of them."""
    if len(known) <= _INNER:
        return {name: k for k, name in enumerate(known)}
    total = {name: sum(n for own, n in zip(names, sizes, strict=True) if own == name) for name in known}
    filled, of = [0] * _INNER, {}
    for name in sorted(known, key=lambda one: -total[one]):
        of[name] = int(np.argmin(filled))
        filled[of[name]] += total[name]
    return of


def _quadrants(xy: NDArray[np.float64]) -> NDArray[np.intp]:
    """Left and right half by spots, each cut into its upper and lower half."""
    right = xy[:, 0] > np.nanmedian(xy[:, 0])
    group = right.astype(np.intp) * 2
    for half in (right, ~right):
        if half.any():
            group[half] += xy[half, 1] > np.nanmedian(xy[half, 1])
    return group
