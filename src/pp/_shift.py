"""Where the image predicts best what spots measured: under them, or beside them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from ._evidence import Sites, folds, losses, pooled, reference
from ._placements import Floats
from ._stain_maps import StainMaps

REACH = 3.0  # pitches that spots are displaced by, at most
_STEP, _FINER = 0.5, 2  # of the grid of offsets, and of the map that is drawn through it
NEAR = 0.5  # pitches: closer is the same place
SURE, UNLIKELY = 0.9, 0.05  # shares of bootstrap draws
_DRAWS = 400
LEAST_SCORE = 0.05


@dataclass(frozen=True)
class Shift:
    """Score of displaced spots.

    Attributes
    ----------
    offsets
        Of the grid, in pitches (k,), the same for x and y.
    scores
        Share of variance that the image predicts (k, k), rows are y.
    best
        Displacement of the spots, in pitches, at which it predicts most.
    at_zero, at_best
        Share of bootstrap draws whose best place is near none, and near ``best``.
    """

    offsets: Floats
    scores: Floats
    best: tuple[float, float]
    at_zero: float
    at_best: float

    @property
    def score(self) -> float:
        """Of the best place."""
        return float(self.scores.max())

    @property
    def ok(self) -> bool | None:
        """Whether spots lie where they should; None where this can't be told."""
        if self.score < LEAST_SCORE:
            return None
        if self.at_zero >= SURE:
            return True
        return False if self.at_zero <= UNLIKELY and self.at_best >= SURE else None


def find_shift(maps: StainMaps, sites: Sites, pitch: float, *, random_state: int) -> Shift | None:
    """Score a grid of displacements; None where the image predicts nothing anywhere."""
    steps = np.arange(-REACH, REACH + _STEP / 2, _STEP)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    fold = folds(sites.n_blocks, random_state)
    summed = pooled(losses(maps, sites, [sites.xy + pitch * one for one in grid], fold), reference(sites, fold))
    if summed is None:
        return None
    loss, without = summed
    n = _FINER * (len(steps) - 1) + 1
    by_place = loss.reshape(len(steps), len(steps), -1)
    fine = zoom(by_place, (n / len(steps), n / len(steps), 1), order=3).reshape(n * n, -1)
    offsets = np.linspace(-REACH, REACH, n)
    places = np.stack(np.meshgrid(offsets, offsets), axis=-1).reshape(-1, 2)
    drawn = places[(draws(sites.n_blocks, random_state) @ fine.T).argmin(axis=1)]
    best = places[fine.sum(axis=1).argmin()]
    scores = (1 - fine.sum(axis=1) / without.sum()).reshape(n, n)
    return Shift(offsets, scores, (float(best[0]), float(best[1])), _near(drawn, np.zeros(2)), _near(drawn, best))


def draws(n_blocks: int, random_state: int) -> NDArray[np.int64]:
    """How often each block is drawn (draws, blocks)."""
    rng = np.random.default_rng(random_state)
    return rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), size=_DRAWS)


def _near(places: Floats, place: Floats) -> float:
    return float((np.hypot(*(places - place).T) <= NEAR + 1e-9).mean())
