"""The affine map between two frames of positions: fitted to landmarks, and applied once."""

import logging
from collections.abc import Mapping
from typing import Any, get_args

import numpy as np
from anndata import AnnData
from numpy.typing import ArrayLike, NDArray

from .._checks import check, is_count, is_number, numbers
from .._errors import OptionError
from .._keys import Keys
from .._record import AnnDatas, Targets, each, has, write
from .._sections import positions, sections
from .._types import check_types
from ._landmarks import Kind, agreeing, landmarks, solve
from ._placements import moved

log = logging.getLogger("histoscribe")

_FLAT = 1e-12  # determinant of a map onto a line, up to rounding
_STALE = (Keys.TILES, Keys.CONNECTIVITIES, Keys.X_IMAGE, Keys.REGISTRATION)  # made from positions
_SAME = 1e-9  # of the largest coordinate: positions that differ by rounding alone


def fit_affine(
    source: ArrayLike,
    target: ArrayLike,
    *,
    kind: Kind = "affine",
    robust: bool = False,
    threshold: float | None = None,
    max_trials: int = 1000,
    random_state: int = 0,
) -> NDArray[np.float64]:
    """Fit the map that takes points to their partners, by least squares.

    A rigid map turns and moves, a similarity also scales; neither mirrors. An affine map may scale each axis by
    itself, shear and mirror: fit one, and look at the sign of its determinant, where a mirror is possible.

    Parameters
    ----------
    source, target
        The same landmarks in both frames (n, 2), x and y; two or more, three for an affine map.
    kind
        What the map may do.
    robust
        Leave out landmarks that don't fit the others (RANSAC); at least one more than needed must fit.
    threshold
        With ``robust``, how far a landmark may end from its partner, in units of ``target``; by default a
        hundredth of the extent of ``target``.
    max_trials
        With ``robust``, random choices of landmarks that are tried at most.
    random_state
        Seed of these.

    Returns
    -------
    Matrix (3, 3); a point (x, y, 1) times it, from the left, is its partner.

    Raises
    ------
    OptionError
        Points are too few, not finite, not as many as their partners, all in one place or, for an affine map, on one
        line; or no choice of landmarks agrees.

    Examples
    --------
    >>> array = [[0, 0], [100, 0], [0, 100]]
    >>> hs.pp.fit_affine(array, [[50, 20], [50, 220], [-150, 20]], kind="similarity").round(6)
    array([[ 0., -2., 50.],
           [ 2., -0., 20.],
           [ 0.,  0.,  1.]])
    """
    check_types(fit_affine, locals())
    check("kind", kind, kind in get_args(Kind), f"one of {get_args(Kind)}")
    check("threshold", threshold, threshold is None or is_number(threshold, 1e-12), "a positive length")
    check("max_trials", max_trials, is_count(max_trials), "a whole number of 1 or more")
    points, partners = landmarks(source, target, kind, robust=robust)
    if robust:
        reach = threshold if threshold is not None else 0.01 * float(np.ptp(partners, axis=0).max())
        points, partners = agreeing(points, partners, kind, reach, trials=max_trials, random_state=random_state)
    return solve(points, partners, kind)


def align_affine(
    adata: AnnDatas,
    matrix: ArrayLike | Mapping[str, ArrayLike],
    *,
    library_key: str = Keys.LIBRARY_ID,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Move the spots by an affine map, into the frame of the image that is linked.

    The positions before the move are kept in ``obsm["spatial_before"]``. A cell that is run twice moves nothing the
    second time: spots that already lie where the map takes their kept positions stay there, also after a selection of
    spots. It keeps one move: make one matrix of two, ``second @ first``, before a cell that is run again applies both.
    To undo a move, write the kept positions back.

    Afterwards positions are full-resolution pixels of the linked image, and um per pixel are those of that image.
    Tiles, graphs and image vectors made before belong to the old positions: the log names them.

    Parameters
    ----------
    adata
        A section, or a list of them.
    matrix
        Matrix (3, 3), as :func:`fit_affine` gives it, for all sections; or one for each section by its name. Sections
        that are not named stay where they are.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["spatial"]`` and ``obsm["spatial_before"]`` (n, 2).

    Raises
    ------
    OptionError
        The matrix is no affine map that can be undone, or names a section that is not there.

    Examples
    --------
    >>> matrix = hs.pp.fit_affine(landmarks_on_array, landmarks_on_image)
    >>> hs.pp.align_affine(adata, matrix)
    >>> hs.pp.align_affine(adata, {"C2": matrix})
    """
    check_types(align_affine, locals())
    maps = _matrices(adata, matrix, library_key)
    targets = Targets(adata, copy=copy)
    results = [_moved(one, maps, library_key) for one in targets]
    for one, (xy, before, stays) in zip(targets, results, strict=True):
        if stays:
            log.info("spots already lie where the matrix takes them; nothing is moved")
            continue
        stale = [f"{slot.where}[{str(slot)!r}]" for slot in _STALE if has(one, slot)]
        if stale:
            log.warning("%s belong to the old positions: make them again", ", ".join(stale))
        outputs = {Keys.SPATIAL: xy, Keys.SPATIAL_BEFORE: before}
        own = {name: maps[name] for name in sections(one, library_key) if name in maps}
        params = {"matrix": own, "library_key": library_key}
        write(one, outputs, by="pp.align_affine", params=params, inputs=[Keys.SPATIAL])
    return targets.result()


def _matrices(
    adata: AnnDatas, matrix: ArrayLike | Mapping[str, ArrayLike], library_key: str
) -> dict[str, NDArray[np.float64]]:
    """Map of each section, checked."""
    names = [name for one in each(adata) for name in sections(one, library_key)]
    if not isinstance(matrix, Mapping):
        checked = _affine("matrix", matrix)
        return dict.fromkeys(names, checked)
    unknown = [name for name in matrix if name not in names]
    if unknown or not matrix:
        expected = f"some of {names}"
        raise OptionError("matrix", found=f"sections {unknown}", expected=expected, fix="Name sections that are there.")
    return {name: _affine(f"matrix[{name!r}]", value) for name, value in matrix.items()}


def _affine(name: str, value: Any) -> NDArray[np.float64]:
    fix = "Fit one with hs.pp.fit_affine(source, target)."
    matrix = numbers(name, value, fix=fix)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or not np.allclose(matrix[2], (0, 0, 1)):
        found = f"shape {matrix.shape}, last row {matrix[-1].tolist() if matrix.ndim == 2 else matrix.tolist()}"
        raise OptionError(name, found=found, expected="(3, 3), finite, with the last row 0, 0, 1", fix=fix)
    if abs(np.linalg.det(matrix[:2, :2])) <= _FLAT * np.linalg.norm(matrix[:2, :2]) ** 2:
        raise OptionError(name, found="a map onto a line", expected="one that can be undone", fix=fix)
    return matrix


def _moved(
    adata: AnnData, maps: Mapping[str, NDArray[np.float64]], library_key: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool]:
    """Positions after and before the move, and whether nothing moves."""
    xy = positions(adata)
    known = has(adata, Keys.SPATIAL_BEFORE)
    before = np.array(adata.obsm[Keys.SPATIAL_BEFORE], dtype=np.float64) if known else xy.copy()
    after, stays = xy.copy(), True
    for name, rows in sections(adata, library_key).items():
        if name not in maps:
            continue
        if known and _same(moved(maps[name], before[rows]), xy[rows]):
            continue
        before[rows], after[rows], stays = xy[rows], moved(maps[name], xy[rows]), False
    return after, before, stays


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    size = np.nanmax(np.abs(other), initial=1.0)
    return bool(np.allclose(one, other, rtol=0, atol=_SAME * size, equal_nan=True))
