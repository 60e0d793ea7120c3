"""How well one modality finds its partner among the other's vectors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import numbers
from .._errors import OptionError
from .._types import check_types

_CHUNK = 1024


def recall_at_k(a: Any, b: Any, k: int, *, groups: Any = None) -> float:
    """Share of rows of ``a`` whose partner, the same row of ``b``, is among the ``k`` nearest rows of ``b``.

    Nearness is the cosine. Ties count against the row, so that vectors that are all the same find nothing. Time grows
    with the square of the rows, memory does not.

    Parameters
    ----------
    a, b
        Vectors (n, d).
    k
        How many are looked at.
    groups
        Search only among rows of the same group (n,), such as the section.

    Raises
    ------
    OptionError
        Shapes that do not fit, values that are not finite, or a ``k`` below 1.

    Examples
    --------
    >>> hs.metrics.recall_at_k(adata.obsm["X_fused_image"], adata.obsm["X_fused_genes"], 10)
    """
    check_types(recall_at_k, locals())
    a, b = _unit(a, "a"), _unit(b, "b")
    if a.shape != b.shape:
        raise OptionError("b", found=f"shape {b.shape}", expected=f"{a.shape}, as a", fix="Pass pairs of rows.")
    if k < 1:
        raise OptionError("k", found=repr(k), expected="1 or more", fix="Pass how many rows are looked at.")
    of = (
        np.zeros(len(a), dtype=np.intp)
        if groups is None
        else np.unique(np.atleast_1d(np.asarray(groups, dtype=str)), return_inverse=True)[1]
    )
    if len(of) != len(a):
        fix = "Pass one group for each row."
        raise OptionError("groups", found=f"{len(of)} rows", expected=f"{len(a)}", fix=fix)
    found = [_found(a[rows], b[rows], k) for rows in (np.flatnonzero(of == g) for g in range(of.max() + 1))]
    return float(np.concatenate(found).mean())


def _unit(x: Any, name: str) -> NDArray[np.float64]:
    x = numbers(name, x)
    if x.ndim != 2 or not len(x) or not np.isfinite(x).all():
        fix = "Pass the valid rows of a slot of vectors."
        raise OptionError(name, found=f"shape {x.shape}, or NaN", expected="finite vectors (n, d)", fix=fix)
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def _found(a: NDArray[np.float64], b: NDArray[np.float64], k: int) -> NDArray[np.bool_]:
    hits = []
    for start in range(0, len(a), _CHUNK):
        cosine = a[start : start + _CHUNK] @ b.T
        own = cosine[np.arange(len(cosine)), start + np.arange(len(cosine))]
        hits.append((cosine >= own[:, None]).sum(axis=1) <= k)
    return np.concatenate(hits)
