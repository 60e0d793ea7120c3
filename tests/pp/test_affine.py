"""Affine maps between frames: fitted, and applied once."""

import logging
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import HistoscribeError, OptionError
from histoscribe.pp import align_affine, fit_affine

from ..toys import cached_toy

MATRIX = np.array([[0.2, -1.7, 40.0], [1.4, 0.3, -7.0], [0, 0, 1]])


def points(n: int = 12, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-300, 500, (n, 2))


def through(matrix: NDArray[np.float64], xy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Map each point by the definition: (x, y, 1) times the matrix from the left."""
    return np.array([(matrix @ [x, y, 1])[:2] for x, y in xy])


def turned(angle: float, scale: float = 1.0) -> NDArray[np.float64]:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[c, -s, 15.0], [s, c, -3.0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("kind", "matrix", "n"),
    [("rigid", turned(2.0), 2), ("similarity", turned(-1.0, 0.02), 2), ("affine", MATRIX, 3), ("affine", MATRIX, 30)],
)
def test_the_map_of_exact_landmarks_is_recovered(kind: Any, matrix: NDArray[np.float64], n: int) -> None:
    found = fit_affine(points(n), through(matrix, points(n)), kind=kind)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, matrix, atol=1e-9)


def test_noisy_landmarks_are_fitted_by_least_squares() -> None:
    source = points(40)
    target = through(MATRIX, source) + np.random.default_rng(1).normal(0, 3, (40, 2))
    wanted, *_ = np.linalg.lstsq(np.column_stack([source, np.ones(40)]), target, rcond=None)
    np.testing.assert_allclose(fit_affine(source, target)[:2], wanted.T, atol=1e-8)


def test_rigid_maps_keep_lengths_and_only_affine_ones_mirror() -> None:
    source = points()
    target = through(np.diag([-2.0, 2.0, 1.0]), source)
    rigid, similar, affine = (fit_affine(source, target, kind=kind) for kind in ("rigid", "similarity", "affine"))
    np.testing.assert_allclose(rigid[:2, :2] @ rigid[:2, :2].T, np.eye(2), atol=1e-9)
    assert np.linalg.det(rigid[:2, :2]) > 0
    assert np.linalg.det(similar[:2, :2]) > 0
    np.testing.assert_allclose(affine, np.diag([-2.0, 2.0, 1.0]), atol=1e-9)


def test_wrong_landmarks_are_left_out() -> None:
    source = points(20)
    target = through(MATRIX, source)
    target[:6] = points(6, seed=3)
    assert np.abs(fit_affine(source, target) - MATRIX).max() > 0.1
    robust = fit_affine(source, target, robust=True, threshold=1.0)
    np.testing.assert_allclose(robust, MATRIX, atol=1e-8)
    np.testing.assert_array_equal(robust, fit_affine(source, target, robust=True, threshold=1.0))


@pytest.mark.parametrize(
    ("source", "target", "options", "found"),
    [
        (points(2), points(2), {}, "2 points"),
        (points(1), points(1), {"kind": "rigid"}, "1 points"),
        (points(4), points(4), {"robust": True}, "4 points"),
        (points(5), points(4), {}, "5 points, and 4 partners"),
        (np.ones((5, 3)), points(5), {}, r"shape \(5, 3\)"),
        (np.full((5, 2), np.nan), points(5), {}, "5 points that are not finite"),
        (np.outer(np.arange(5.0), [1, 2]), points(5), {}, "points on one line"),
        (points(5), np.outer(np.arange(5.0), [1, 2]), {}, "points on one line"),
        (np.ones((5, 2)), points(5), {"kind": "similarity"}, "points in one place"),
        (points(9), points(9, seed=5), {"robust": True, "threshold": 1e-3}, "no more than"),
        (points(), points(), {"kind": "projective"}, "projective"),
        (points(), points(), {"threshold": -1.0}, "threshold"),
        (points(), points(), {"max_trials": 0}, "max_trials"),
    ],
)
def test_landmarks_that_fix_no_map_are_refused(source: Any, target: Any, options: dict[str, Any], found: str) -> None:
    with pytest.raises(OptionError, match=found):
        fit_affine(source, target, **options)


def test_spots_move_once_however_often_the_cell_is_run() -> None:
    adata = cached_toy(n_spots=30)
    before = adata.obsm["spatial"].copy()
    for _ in range(3):
        align_affine(adata, MATRIX)
        np.testing.assert_allclose(adata.obsm["spatial"], through(MATRIX, before))
    np.testing.assert_array_equal(adata.obsm["spatial_before"], before)
    assert adata.obsm["spatial"].dtype == np.float64


def test_a_selection_in_another_order_is_not_moved_again() -> None:
    adata = cached_toy(n_spots=30)
    align_affine(adata, MATRIX)
    some = adata[[7, 3, 20]].copy()
    wanted = some.obsm["spatial"].copy()
    align_affine(some, MATRIX)
    np.testing.assert_array_equal(some.obsm["spatial"], wanted)


def test_another_map_goes_on_from_where_spots_are() -> None:
    adata = cached_toy(n_spots=30)
    before = adata.obsm["spatial"].copy()
    align_affine(adata, MATRIX)
    align_affine(adata, turned(0.3))
    np.testing.assert_allclose(adata.obsm["spatial"], through(turned(0.3) @ MATRIX, before))


def test_a_mirror_is_not_undone_by_running_it_again() -> None:
    adata = cached_toy(n_spots=30)
    mirror = np.array([[-1.0, 0, 900], [0, 1, 0], [0, 0, 1]])
    align_affine(adata, mirror)
    once = adata.obsm["spatial"].copy()
    align_affine(adata, mirror)
    np.testing.assert_array_equal(adata.obsm["spatial"], once)


def test_each_section_has_its_own_map_and_others_stay() -> None:
    slides = cached_toy(n_slides=2, n_spots=30)
    before = [one.obsm["spatial"].copy() for one in slides]
    align_affine(slides, {"toy_2": MATRIX})
    np.testing.assert_array_equal(slides[0].obsm["spatial"], before[0])
    np.testing.assert_allclose(slides[1].obsm["spatial"], through(MATRIX, before[1]))

    import anndata

    both = anndata.concat(cached_toy(n_slides=2, n_spots=30), uns_merge="unique")
    align_affine(both, {"toy_1": turned(1.0)})
    align_affine(both, {"toy_2": MATRIX})
    align_affine(both, {"toy_1": turned(1.0)})  # the first cell again
    np.testing.assert_allclose(both.obsm["spatial"][:30], through(turned(1.0), before[0]))
    np.testing.assert_allclose(both.obsm["spatial"][30:], through(MATRIX, before[1]))


def test_spots_without_a_position_stay_without() -> None:
    adata = cached_toy(n_spots=30)
    adata.obsm["spatial"][4] = np.nan
    align_affine(adata, MATRIX)
    once = adata.obsm["spatial"].copy()
    align_affine(adata, MATRIX)
    np.testing.assert_array_equal(adata.obsm["spatial"], once)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(once).any(axis=1)), [4])


def test_what_was_made_from_old_positions_is_named(caplog: pytest.LogCaptureFixture) -> None:
    adata = cached_toy(n_spots=30)
    hs.pp.tile(adata)
    with caplog.at_level(logging.WARNING, logger="histoscribe"):
        align_affine(adata, MATRIX)
    assert "obsm['tiles'] belong to the old positions" in caplog.text


@pytest.mark.parametrize(
    ("matrix", "found"),
    [
        (np.eye(2), r"shape \(2, 2\)"),
        (np.full((3, 3), np.nan), "matrix"),
        (np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1.0]]), "last row"),
        (np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1.0]]), "onto a line"),
        ({"other": np.eye(3)}, "other"),
        ({}, r"sections \[\]"),
    ],
)
def test_what_is_no_map_is_refused(matrix: Any, found: str) -> None:
    adata = cached_toy(n_spots=30)
    before = adata.obsm["spatial"].copy()
    with pytest.raises(HistoscribeError, match=found):
        align_affine(adata, matrix)
    np.testing.assert_array_equal(adata.obsm["spatial"], before)
    assert "spatial_before" not in adata.obsm
