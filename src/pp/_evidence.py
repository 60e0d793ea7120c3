"""How well the image under displaced spots predicts what the spots measured."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.decomposition import PCA

from .._expression import log_cp10k
from ._stain_maps import Floats, StainMaps

_COMPONENTS, _GENES = 8, 1000
_FOLDS, _BLOCK = 5, 4.0  # blocks are squares of so many pitches, left out together
_PENALTY = 0.05  # of ridge, per spot; features are standardised
_LEAST_NOISE = 0.02  # share of variance that is noise in any target
_LEAST_R2 = 0.05  # a target that no placement predicts that well says nothing about placement


@dataclass(frozen=True)
class Sites:
    """Places on the array, and what was measured there.

    Attributes
    ----------
    xy
        Positions (n, 2).
    targets
        What the image is to predict (n, targets), standardised; NaN where a target is not known.
    block
        Square of the section that each lies in (n,), for cross-validation and bootstrap.
    """

    xy: Floats
    targets: Floats
    block: NDArray[np.intp]

    @property
    def n_blocks(self) -> int:
        """Number of squares."""
        return int(self.block.max()) + 1


def make_sites(xy: Floats, counts: sp.csr_matrix, empty: Floats, pitch: float) -> Sites:
    """Spots with their expression, and places of the array without a spot.

    Parameters
    ----------
    xy
        Positions of the spots (n, 2).
    counts
        Raw counts (n, g).
    empty
        Positions of places without a spot (m, 2): there the image should show no tissue.
    pitch
        Distance between neighbouring spots.
    """
    expression = _expression(counts)
    targets = np.full((len(xy) + len(empty), expression.shape[1] + bool(len(empty))), np.nan)
    targets[: len(xy), : expression.shape[1]] = expression
    if len(empty):
        targets[:, -1] = np.arange(len(targets)) < len(xy)
    places = np.vstack([xy, empty])
    mean, spread = np.nanmean(targets, axis=0), np.nanstd(targets, axis=0)
    squares = np.floor((places - places.min(axis=0)) / (_BLOCK * pitch)).astype(np.int64)
    _, block = np.unique(squares, axis=0, return_inverse=True)
    return Sites(places, (targets - mean) / np.maximum(spread, 1e-9), block.ravel())


def _expression(counts: sp.csr_matrix) -> Floats:
    """Log of total counts, and the leading components of log counts per 10,000 (n, 1 + k)."""
    total = np.log1p(np.asarray(counts.sum(axis=1), dtype=np.float64).ravel())
    values = log_cp10k(counts)
    mean = np.asarray(values.mean(axis=0)).ravel()
    variance = np.asarray(values.multiply(values).mean(axis=0)).ravel() - mean**2
    chosen = np.argsort(-variance, kind="stable")[:_GENES]
    dense = values[:, np.sort(chosen)].toarray()
    k = min(_COMPONENTS, *(side - 1 for side in dense.shape))
    return np.column_stack([total, PCA(k, random_state=0).fit_transform(dense)]) if k > 0 else total[:, None]


def losses(maps: StainMaps, sites: Sites, placements: Sequence[Floats], fold_of_block: NDArray[np.intp]) -> Floats:
    """Squared error of prediction, summed over each block (placements, blocks, targets).

    For each placement of the sites (n, 2), ridge regression from the image's features is fitted on four fifths of the
    blocks and predicts the rest.
    """
    split = _split(sites, fold_of_block)
    return np.stack([_block_losses(maps.at(xy), sites, split) for xy in placements])


def reference(sites: Sites, fold_of_block: NDArray[np.intp]) -> Floats:
    """Loss (blocks, targets) of predicting the mean of the other blocks, without an image."""
    return _block_losses(np.zeros((len(sites.xy), 1)), sites, _split(sites, fold_of_block))


def folds(n_blocks: int, random_state: int) -> NDArray[np.intp]:
    """Fold of each block."""
    return np.random.default_rng(random_state).permutation(n_blocks) % _FOLDS


def _split(sites: Sites, fold_of_block: NDArray[np.intp]) -> list[tuple[NDArray[np.bool_], list[NDArray[np.intp]]]]:
    """Targets that are known at the same sites, and these sites by fold."""
    known, fold = np.isfinite(sites.targets), fold_of_block[sites.block]
    patterns = np.unique(known, axis=1).T
    return [
        (
            (known == pattern[:, None]).all(axis=0),
            [own for k in range(_FOLDS) if len(own := np.flatnonzero(pattern & (fold == k)))],
        )
        for pattern in patterns
    ]


def _block_losses(
    features: Floats, sites: Sites, split: list[tuple[NDArray[np.bool_], list[NDArray[np.intp]]]]
) -> Floats:
    x = (features - features.mean(axis=0)) / np.maximum(features.std(axis=0), 1e-9)
    out = np.zeros((sites.n_blocks, sites.targets.shape[1]))
    for columns, parts in split:
        y = sites.targets[:, columns]
        for part, prediction in zip(parts, _predictions(x, y, parts), strict=True):
            error = (y[part] - prediction) ** 2
            for column, own in zip(np.flatnonzero(columns), error.T, strict=True):
                out[:, column] += np.bincount(sites.block[part], own, minlength=len(out))
    return out


def _predictions(x: Floats, y: Floats, parts: list[NDArray[np.intp]]) -> list[Floats]:
    """Ridge regression for each part, fitted on the others: from sums over parts, so that each is summed once."""
    one = np.hstack([x, np.ones((len(x), 1))])
    within = np.stack([one[part].T @ one[part] for part in parts])
    across = np.stack([one[part].T @ y[part] for part in parts])
    gram, moment = within.sum(axis=0) - within, across.sum(axis=0) - across
    penalty = _PENALTY * gram[:, -1:, -1:] * np.eye(one.shape[1])
    penalty[:, -1, -1] = 1e-9  # the intercept is free
    solved = np.linalg.solve(gram + penalty, moment)
    return [one[part] @ weights for part, weights in zip(parts, solved, strict=True)]


def pooled(loss: Floats, baseline: Floats) -> tuple[Floats, Floats] | None:
    """Sum the targets' losses, each in units of its noise; None where no target can be predicted at all.

    Parameters
    ----------
    loss
        (placements, blocks, targets).
    baseline
        (blocks, targets), without an image.

    Returns
    -------
    Losses (placements, blocks), and those without an image (blocks,).
    """
    noise = loss.sum(axis=1).min(axis=0)
    without = baseline.sum(axis=0)
    told = noise < (1 - _LEAST_R2) * without
    if not told.any():
        return None
    # Twice the log-likelihood of independent Gaussian targets; the bootstrap finds what it is worth.
    weight = without[told] / np.maximum(noise[told], _LEAST_NOISE * without[told])
    return loss[..., told] @ weight, baseline[:, told] @ weight
