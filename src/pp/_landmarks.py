"""Landmarks in two frames: checked, and those that fit the others."""

import logging
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from skimage.measure import ransac
from skimage.transform import AffineTransform, EuclideanTransform, SimilarityTransform

from .._checks import numbers
from .._errors import OptionError

log = logging.getLogger("histoscribe")

Kind: TypeAlias = Literal["rigid", "similarity", "affine"]

MODELS = {"rigid": EuclideanTransform, "similarity": SimilarityTransform, "affine": AffineTransform}
_LEAST_POINTS = {"rigid": 2, "similarity": 2, "affine": 3}
_FLAT = 1e-9  # ratio of the spreads of points that lie on one line, up to rounding
_THIN = 1e-3  # the same of a few points that are too close to one line to fix a map


def landmarks(
    source: ArrayLike, target: ArrayLike, kind: Kind, *, robust: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Both sets of points (n, 2), or what is wrong with them."""
    points, partners = (_points(name, value) for name, value in (("source", source), ("target", target)))
    if len(points) != len(partners):
        found = f"{len(points)} points, and {len(partners)} partners"
        raise OptionError("source and target", found=found, expected="as many", fix="Give each point its partner.")
    least = _LEAST_POINTS[kind] + 2 * robust
    if len(points) < least:
        expected = f"{least} or more to fit kind={kind!r}" + (" that leaves some out" if robust else "")
        raise OptionError("source", found=f"{len(points)} points", expected=expected, fix="Mark more landmarks.")
    for name, value in (("source", points), ("target", partners)):
        spread = np.linalg.svd(value - value.mean(axis=0), compute_uv=False)
        if spread[0] == 0 or (kind == "affine" and spread[1] <= _FLAT * spread[0]):
            raise degenerate(name, kind)
    return points, partners


def _points(name: str, value: ArrayLike) -> NDArray[np.float64]:
    points = numbers(name, value, fix="Pass one row a point.")
    if points.ndim != 2 or points.shape[1] != 2:
        raise OptionError(name, found=f"shape {points.shape}", expected="(n, 2): x and y", fix="Pass one row a point.")
    if bad := int((~np.isfinite(points)).any(axis=1).sum()):
        fix = "Leave these landmarks out of both."
        raise OptionError(name, found=f"{bad} points that are not finite", expected="numbers", fix=fix)
    return points


def degenerate(name: str, kind: Kind) -> OptionError:
    """Error for points that fix no map of this kind."""
    found = "points on one line" if kind == "affine" else "points in one place"
    return OptionError(name, found=found, expected="points that are spread out", fix="Mark landmarks farther apart.")


def agreeing(
    points: NDArray[np.float64],
    partners: NDArray[np.float64],
    kind: Kind,
    reach: float,
    *,
    trials: int,
    random_state: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Keep the landmarks of the largest set that one map takes to within ``reach`` of their partners."""
    least = _LEAST_POINTS[kind]

    def spread_out(source: NDArray[np.float64], target: NDArray[np.float64]) -> bool:
        sides = [np.linalg.svd(one - one.mean(axis=0), compute_uv=False) for one in (source, target)]
        return all(s[0] > 0 and (kind != "affine" or s[1] > _THIN * s[0]) for s in sides)

    _, inliers = ransac(
        (points, partners), MODELS[kind], least, reach, is_data_valid=spread_out, max_trials=trials, rng=random_state,
        initial_inliers=np.ones(len(points), dtype=bool),  # the choice of all: with few trials it may be the best
    )  # fmt: skip
    kept = 0 if inliers is None else int(inliers.sum())
    if kept <= least:
        found = f"no more than {kept} of {len(points)} landmarks within {reach:g} of one {kind} map"
        fix = "Check their order, or raise threshold=."
        raise OptionError("source and target", found=found, expected=f"{least + 1} that agree", fix=fix)
    log.info("%d of %d landmarks agree within %g and are used", kept, len(points), reach)
    return points[inliers], partners[inliers]


def solve(points: NDArray[np.float64], partners: NDArray[np.float64], kind: Kind) -> NDArray[np.float64]:
    """Matrix (3, 3) with the least sum of squared distances between mapped points and their partners."""
    if kind == "affine":  # scikit-image minimises another, algebraic error here
        design = np.column_stack([points, np.ones(len(points))])
        return np.vstack([np.linalg.lstsq(design, partners, rcond=None)[0].T, (0.0, 0.0, 1.0)])
    model = MODELS[kind].from_estimate(points, partners)
    if not model:
        raise degenerate("source and target", kind)
    return np.asarray(model.params, dtype=np.float64)
