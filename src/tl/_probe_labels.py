"""Labels of a linear probe: which count, and why the others do not."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .._errors import MissingError, OptionError
from ._probe_folds import Piece

log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class Labels:
    """Label of each row of each piece, None where it does not count, and what was kept and left out."""

    of: list[NDArray[np.object_]]
    classes: dict[str, int]
    left_out: dict[str, str]
    n_missing: int


def labels_of(pieces: Sequence[Piece], target: str, drop: Sequence[str], min_spots: int) -> Labels:
    """Read the labels and decide on the classes: by their names and numbers in all pieces, never by vectors.

    Raises
    ------
    OptionError
        Fewer than two classes are left, a label to drop that is none, or a column of numbers.
    MissingError
        A section has no such column.
    """
    labels = [_column(piece, target) for piece in pieces]
    units = np.concatenate([np.full(len(piece.rows), piece.unit, dtype=object) for piece in pieces])
    table = pd.DataFrame({"label": np.concatenate(labels), "unit": units})
    _check_drop(drop, table["label"].dropna().unique(), target)
    by_class = table.dropna().groupby("label")["unit"].agg(["size", "nunique"])
    why = {name: _why(str(name), row, set(map(str, drop)), min_spots) for name, row in by_class.iterrows()}
    classes = {str(name): int(by_class.loc[name, "size"]) for name, reason in why.items() if not reason}
    left_out = {str(name): reason for name, reason in why.items() if reason}
    n_missing = int(table["label"].isna().sum())
    log.info("%r: spots %s; left out %s; %d spots without a label", target, classes, left_out, n_missing)
    if len(classes) < 2:
        found = f"{list(classes)}, after leaving out {left_out} and {n_missing} spots without a label"
        fix = "Check the column, patients=, drop= and min_spots=."
        raise OptionError(f"obs[{target!r}]", found=found, expected="two or more classes", fix=fix)
    kept = [np.array([x if x in classes else None for x in own], dtype=object) for own in labels]
    return Labels(kept, classes, left_out, n_missing)


def _check_drop(drop: Sequence[str], names: Sequence[str], target: str) -> None:
    for name in map(str, drop):
        if name not in set(names):
            near = get_close_matches(name, list(names), n=1, cutoff=0.6)
            fix = f"Did you mean {near[0]!r}?" if near else "Leave it out of drop=."
            raise OptionError("drop", found=repr(name), expected=f"labels of obs[{target!r}]: {sorted(names)}", fix=fix)


def _why(name: str, row: Any, drop: set[str], min_spots: int) -> str:
    if name in drop:
        return f"{row['size']} spots, as asked"
    if row["size"] < min_spots:
        return f"{row['size']} spots alone"
    return f"{row['size']} spots of one patient alone" if row["nunique"] < 2 else ""


def _column(piece: Piece, target: str) -> NDArray[np.object_]:
    field = f"obs[{target!r}]"
    if target not in piece.adata.obs:
        fix = "Name one of these, or leave this section out."
        raise MissingError(field, found=f"only {list(piece.adata.obs)}", expected="a label for spots", fix=fix)
    column = piece.adata.obs[target].iloc[piece.rows]
    is_number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if is_number and column.notna().any():
        fix = f"If these are classes: adata.obs[{target!r}] = adata.obs[{target!r}].astype(str).astype('category')."
        raise OptionError(field, found=f"numbers ({column.dtype})", expected="classes", fix=fix)
    return np.array([None if lost else str(x) for x, lost in zip(column, column.isna(), strict=True)], dtype=object)
