"""What all ways to find domains share: rows in, one labelling of all sections out."""

import logging
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._errors import OptionError
from .._keys import Keys, Slot
from .._record import Targets, matrix, write
from ._loaders import parts, usable

log = logging.getLogger("histoscribe")

Labels: TypeAlias = NDArray[np.int64]


def stacked(adatas: Sequence[AnnData], slot: Slot) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Stack the valid rows of a slot, and say which rows those are; columns that a section lacks are left out of all."""
    ok = np.concatenate([usable(one, slot) for one in adatas])
    x = np.concatenate([matrix(one, slot) for one in adatas])[ok].astype(np.float64)
    field = f"{slot.where}[{str(slot)!r}]"
    if len(x) < 3:
        raise OptionError(field, found=f"{len(x)} valid rows", expected="3 or more", fix="Pass more spots.")
    shared = np.isfinite(x).all(axis=0)
    if not shared.any():
        fix = "Pass sections that have columns in common, or find domains in each by itself."
        raise OptionError(field, found="no column that all sections have", expected="one or more", fix=fix)
    if n_lacking := int((~shared).sum()):
        log.info("%s: %d columns that a section lacks are left out of all", field, n_lacking)
    return x[:, shared], ok


def by_content(x: NDArray[np.float64]) -> NDArray[np.intp]:
    """Order of rows by their content: what is drawn for rows in this order does not depend on the order they came in."""
    return np.lexsort(x[:, :3].T[::-1])


def check_count(name: str, value: object, least: int, most: int | None = None) -> None:
    """Refuse what is no whole number within bounds."""
    expected = f"a whole number, {least} or more" + (f", at most {most}" if most is not None else "")
    ok = is_count(value, least) and (most is None or value <= most)  # type: ignore[operator]
    check(name, value, ok, expected, fix="Choose one in that range.")


def written(
    targets: Targets, labels: Labels, ok: NDArray[np.bool_], key_added: str, *, by: str, params: Any, inputs: Any
) -> Any:
    """Write one labelling to all sections."""
    adatas = list(targets)
    columns = parts(adatas, categories(labels, ok))
    for one, column in zip(adatas, columns, strict=True):
        write(one, {Keys.DOMAIN.renamed(key_added): column}, by=by, params=params, inputs=inputs)
    return targets.result()


def categories(labels: Labels, ok: NDArray[np.bool_]) -> pd.Categorical:
    """Labels renamed "0", "1", ... from the most frequent down (ties: the first to occur), missing where not ``ok``."""
    found, first, size = np.unique(labels, return_index=True, return_counts=True)
    order = np.lexsort((first, -size))
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found))
    codes = np.full(len(ok), -1, dtype=np.int64)
    codes[ok] = rank[np.searchsorted(found, labels)]
    return pd.Categorical.from_codes(codes, categories=[str(k) for k in range(len(found))])
