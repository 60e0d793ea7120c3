"""Whether spots fit the image as they lie, or turned, mirrored, or at another scale."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._evidence import Sites, folds, losses, pooled, reference
from ._placements import Floats, Hypothesis, displaced, moved
from ._shift import LEAST_SCORE, SURE, draws
from ._stain_maps import StainMaps

_REACH, _STEP = 2.0, 1.0  # pitches that each hypothesis may be displaced by, and steps
_NEXT = [(x, y) for y in (-0.5, 0.0, 0.5) for x in (-0.5, 0.0, 0.5) if x or y]  # and around the best of these


@dataclass(frozen=True)
class Standing:
    """How hypotheses compare, each at the displacement that suits it best.

    Attributes
    ----------
    names
        Of the hypotheses; the first is that all is well.
    upright
        Those that change the scale alone, the first one among them (k,).
    scores
        Share of variance that the image predicts (k,).
    wins
        Best hypothesis of all, and best of the upright ones, in each bootstrap draw (draws, 2).
    matrices
        Affine maps that the hypotheses stand for, displacement included.
    """

    names: tuple[str, ...]
    upright: NDArray[np.bool_]
    scores: Floats
    wins: NDArray[np.intp]
    matrices: tuple[Floats, ...]

    def orientation(self) -> tuple[int, float]:
        """Hypothesis with the most draws, all upright ones being one, and its share of them."""
        return _most(np.where(self.upright[self.wins[:, 0]], 0, self.wins[:, 0]))

    def scale(self) -> tuple[int, float]:
        """Scale with the most draws, and its share of them."""
        return _most(self.wins[:, 1])

    def verdict(self, found: tuple[int, float]) -> bool | None:
        """Whether the first hypothesis holds; None where this can't be told."""
        winner, share = found
        if self.scores[winner] < LEAST_SCORE or share < SURE:
            return None
        return winner == 0


@dataclass(frozen=True)
class Trials:
    """Losses of all places that were tried, for each hypothesis by its number in ``of``."""

    candidates: Sequence[Hypothesis]
    of: NDArray[np.intp]
    matrices: Sequence[Floats]
    loss: Floats
    without: Floats
    draws: NDArray[np.int64]

    def standing(self, n_targets: int | None = None) -> Standing | None:
        """Winners by the first so many targets, or by all; None where the image predicts none of them anywhere."""
        summed = pooled(self.loss[..., :n_targets], self.without[:, :n_targets])
        if summed is None:
            return None
        loss, without = summed
        members = [np.flatnonzero(self.of == k) for k in range(len(self.candidates))]
        total, drawn = loss.sum(axis=1), self.draws @ loss.T
        best = [own[total[own].argmin()] for own in members]
        by_draw = np.stack([drawn[:, own].min(axis=1) for own in members], axis=1)
        upright = np.array([one.is_upright for one in self.candidates])
        wins = np.stack([by_draw.argmin(axis=1), np.where(upright, by_draw, np.inf).argmin(axis=1)], axis=1)
        names = tuple(one.name for one in self.candidates)
        scores = 1 - total[best] / without.sum()
        return Standing(names, upright, scores, wins, tuple(self.matrices[i] for i in best))


def compare(
    maps: StainMaps, sites: Sites, pitch: float, candidates: Sequence[Hypothesis], *, random_state: int
) -> Trials:
    """Put the sites where each hypothesis has them, displaced a little every way, and let the image predict."""
    fold = folds(sites.n_blocks, random_state)
    of: list[int] = []
    tried: list[Floats] = []
    raw: list[Floats] = []
    for k, one in enumerate(candidates):
        for matrix in one.matrices:
            places = [displaced(matrix, pitch * np.array(step)) for step in _grid()]
            found = losses(maps, sites, [moved(place, sites.xy) for place in places], fold)
            best = places[int(found.sum(axis=(1, 2)).argmin())]
            closer = [displaced(best, pitch * np.array(step)) for step in _NEXT]
            raw += [found, losses(maps, sites, [moved(place, sites.xy) for place in closer], fold)]
            tried += [*places, *closer]
            of += [k] * (len(places) + len(closer))
    drawn = draws(sites.n_blocks, random_state)
    return Trials(candidates, np.array(of), tried, np.concatenate(raw), reference(sites, fold), drawn)


def _grid() -> list[tuple[float, float]]:
    steps = np.arange(-_REACH, _REACH + _STEP / 2, _STEP)
    return [(x, y) for y in steps for x in steps]


def _most(winners: NDArray[np.intp]) -> tuple[int, float]:
    counts = np.bincount(winners)
    return int(counts.argmax()), float(counts.max() / len(winners))
