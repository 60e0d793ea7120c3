"""What probes look at: slots, or vectors that are learned anew on the training side of every fold."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from .._keys import Keys, Slot, slots, valid
from .._record import has, matrix
from ._made_by import made_by
from ._probe_folds import Fold, Piece
from ._stale import warn_if_stale

Encode: TypeAlias = Callable[[AnnData], Any]
Rep: TypeAlias = str | Sequence[str] | Callable[[list[AnnData]], Encode]
Reps: TypeAlias = Rep | Mapping[str, Any]  # to any Rep: a dict of both kinds has no narrower type
Vectors: TypeAlias = NDArray[np.float32]

log = logging.getLogger("histoscribe")


def named(use_rep: Reps) -> dict[str, Rep]:
    """Representations under their labels."""
    reps = dict(use_rep) if isinstance(use_rep, Mapping) else {_label(use_rep): use_rep}
    for label, rep in reps.items():
        several = isinstance(rep, (list, tuple)) and len(rep) > 0 and all(isinstance(name, str) for name in rep)
        if not (callable(rep) or isinstance(rep, str) or several):
            expected = "the name of a slot of obsm, several names, or a function that is fitted on training sections"
            raise OptionError("use_rep", found=f"{label!r}: {rep!r}", expected=expected, fix="See linear_probe.")
    if not reps:
        raise OptionError("use_rep", found="nothing", expected="at least one", fix="Name a slot of obsm.")
    return {str(label): rep for label, rep in reps.items()}


def _label(rep: Any) -> str:
    if isinstance(rep, str) or callable(rep):
        return rep if isinstance(rep, str) else getattr(rep, "__name__", type(rep).__name__)
    return "+".join(map(str, rep)) if isinstance(rep, (list, tuple)) else str(rep)


class Source:
    """Vectors of all pieces under each representation.

    Parameters
    ----------
    reps
        What :func:`named` returned.
    pieces
        Sections by units.
    """

    def __init__(self, reps: Mapping[str, Rep], pieces: Sequence[Piece]) -> None:
        self.reps, self.pieces = reps, pieces
        self._slots = {label: self._joined(rep) for label, rep in reps.items() if not callable(rep)}

    def of(self, fold: Fold, shown: Callable[[Piece], AnnData]) -> dict[str, dict[int, Vectors]]:
        """Vectors of the pieces of a fold, NaN rows where there is none; functions see what ``shown`` makes of a piece.

        A row that any representation lacks is NaN in all of them, so that all are judged on the same spots.
        """
        numbers = [*fold.train, *fold.test]
        found: dict[str, dict[int, Vectors]] = {}
        for label, rep in self.reps.items():
            if not callable(rep):
                found[label] = {k: self._slots[label][k] for k in numbers}
                continue
            encode = rep([shown(self.pieces[k]) for k in fold.train])
            found[label] = {k: self._encoded(label, encode, shown(self.pieces[k])) for k in numbers}
            _one_width(label, list(found[label].values()))
        for k in numbers:
            ok = np.logical_and.reduce([np.isfinite(found[label][k]).all(axis=1) for label in found])
            for label in found:
                found[label][k] = np.where(ok[:, None], found[label][k], np.float32(np.nan))
        return found

    @staticmethod
    def _encoded(label: str, encode: Encode, adata: AnnData) -> Vectors:
        x = np.asarray(encode(adata), dtype=np.float32)
        if x.ndim != 2 or len(x) != adata.n_obs:
            fix = "Return an array with a row for each observation of the AnnData that it gets."
            raise OptionError(f"use_rep[{label!r}]", found=f"shape {x.shape}", expected=f"({adata.n_obs}, d)", fix=fix)
        return x

    def _joined(self, rep: str | Sequence[str]) -> list[Vectors]:
        columns = [self._slot(_obsm(name)) for name in ([rep] if isinstance(rep, str) else rep)]
        return [np.concatenate(parts, axis=1) for parts in zip(*columns, strict=True)]

    def _slot(self, slot: Slot) -> list[Vectors]:
        parts = [_rows(piece, slot) for piece in self.pieces]
        _one_width(str(slot), parts)
        made_by([piece.adata for piece in self.pieces], slot)
        for adata in {id(piece.adata): piece.adata for piece in self.pieces}.values():
            warn_if_stale(adata, slot)
        if slot != Keys.SPATIAL:  # sections may well share an array
            self._check_apart(slot, parts)
        empty = np.logical_or.reduce([np.isnan(x).all(axis=0) for x in parts])
        if not empty.any() or empty.all():
            return parts
        # Such as a gene set that can't be scored in one section: it says nothing of the others either.
        log.info("obsm[%r]: %d columns that a section lacks are left out of all", str(slot), empty.sum())
        return [x[:, ~empty] for x in parts]

    def _check_apart(self, slot: Slot, parts: Sequence[Vectors]) -> None:
        """Refuse one section under two names: it would be learned in training and asked for in the test."""
        seen: dict[bytes, Piece] = {}
        for piece, x in zip(self.pieces, parts, strict=True):
            if len(x) < 2 or (x == x[0]).all():
                continue
            first = seen.setdefault(x.tobytes(), piece)
            if first.unit != piece.unit:
                found = f"the same vectors in {first.unit!r} and in {piece.unit!r}"
                fix = "Pass each section once, under one patient."
                raise OptionError(f"obsm[{str(slot)!r}]", found=found, expected="different sections", fix=fix)


def _rows(piece: Piece, slot: Slot) -> Vectors:
    """Rows of a slot, NaN where they are flagged as not valid."""
    if not has(piece.adata, slot) and slot not in slots():
        found, fix = f"only {sorted(map(str, piece.adata.obsm))}", "Name a slot of obsm."
        raise MissingError(f"obsm[{str(slot)!r}]", found=found, expected="vectors (n, d)", fix=fix)
    x = matrix(piece.adata, slot)[piece.rows]
    if not has(piece.adata, valid(slot)):
        return x
    ok = piece.adata.obs[valid(slot)].to_numpy(dtype=bool)[piece.rows]
    return np.where(ok[:, None], x, np.float32(np.nan))


def _obsm(name: str) -> Slot:
    known = [slot for slot in slots() if slot.where == "obsm" and str(slot) == name]
    return known[0] if known else Keys.X_IMAGE.renamed(name)


def _one_width(label: str, parts: Sequence[Vectors]) -> None:
    widths = sorted({x.shape[1] for x in parts})
    if len(widths) > 1:
        fix = "Encode all sections with one encoder."
        raise OptionError(f"use_rep {label!r}", found=f"widths {widths}", expected="one in all sections", fix=fix)
