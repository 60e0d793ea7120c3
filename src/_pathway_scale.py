"""The pathway scale: what a pathway score is measured against, so that it means the same on every slide."""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._errors import GenesError
from ._types import check_types

_MOST = 1e300  # above, a weight is no number that can be reckoned with
Net: TypeAlias = dict[str, dict[str, float]]  # set → gene → weight


@dataclass(frozen=True, eq=False)
class PathwayScale:
    """Pathway scores of a training cohort; fitted by :func:`histoscribe.pp.fit_pathway_scale`.

    It is kept as JSON: ``path.write_text(scale.to_json())``, ``hs.pp.PathwayScale.from_json(path.read_text())``.

    Parameters
    ----------
    name
        Name of the gene sets, as in ``"hallmark"``.
    net
        Set → gene → weight.
    method
        How scores are made.
    min_genes
        A set with fewer measured genes can't be scored.
    genes
        The genes that all training sections measure: nothing else is looked at.
    means, sds
        Mean and standard deviation of each gene's log1p CP10k over the training spots (g,).
    depths
        Depths at which the scores of the training spots were taken, in counts of a spot, rising (L,).
    score_means, score_sds
        Mean and standard deviation of each set's score at each depth (L, P); NaN for a set that can't be scored.
    n_spots
        Training spots.
    """

    name: str
    net: Net
    method: str
    min_genes: int
    genes: tuple[str, ...]
    means: NDArray[np.float64]
    sds: NDArray[np.float64]
    depths: NDArray[np.float64]
    score_means: NDArray[np.float64]
    score_sds: NDArray[np.float64]
    n_spots: int

    def __repr__(self) -> str:
        return f"PathwayScale({self.name}: {len(self.net)} sets by {self.method}, {len(self.genes):,} genes, {self.n_spots:,} spots)"

    def __post_init__(self) -> None:
        check_types(PathwayScale, vars(self))
        g, levels = len(self.genes), len(self.depths)
        wanted = {"means": (g,), "sds": (g,)} | dict.fromkeys(("score_means", "score_sds"), (levels, len(self.net)))
        for field, shape in wanted.items():
            if getattr(self, field).shape != shape:
                found = f"shape {getattr(self, field).shape}"
                raise GenesError(f"PathwayScale.{field}", found=found, expected=str(shape), fix="Fit it anew.")
        sound = {
            "sds": np.isfinite(self.sds).all() and (self.sds > 0).all(),
            "means": np.isfinite(self.means).all(),
            "depths": levels > 0 and np.isfinite(self.depths).all() and (np.diff(self.depths, prepend=0) > 0).all(),
            "score_means": not np.isinf(self.score_means).any(),
            "score_sds": not np.isinf(self.score_sds).any() and not (self.score_sds <= 0).any(),
            "genes": len(set(self.genes)) == g,
            "min_genes": type(self.min_genes) is int and self.min_genes > 0,
            "n_spots": type(self.n_spots) is int and self.n_spots > 0,
        }
        for field, ok in sound.items():
            if not ok:
                found, fix = str(getattr(self, field))[:80], "Fit it anew."
                raise GenesError(f"PathwayScale.{field}", found=found, expected="what a fit gives", fix=fix)

    def standardize(
        self, scores: NDArray[np.floating], depth: NDArray[np.float64], *, columns: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """Scores (n, P') in standard deviations from the training mean, both at the depth (n,) of each spot.

        Between the fitted depths, mean and sd are interpolated over the logarithm of the depth; beyond them they stay.

        Parameters
        ----------
        scores
            Scores of the sets that ``columns`` (P,) picks.
        depth
            Counts of each spot in the genes of the scale.
        columns
            Which sets they are.
        """
        at, known = np.log(np.maximum(depth, 1)), np.log(self.depths)
        standard = np.empty(scores.shape)
        for column, k in enumerate(np.flatnonzero(columns)):
            mean, sd = (np.interp(at, known, values[:, k]) for values in (self.score_means, self.score_sds))
            standard[:, column] = (scores[:, column] - mean) / sd
        return standard

    @cached_property
    def sha256(self) -> str:
        """Hash of all of it; stored with the scores that were made with it."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Write the scale as JSON text."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        arrays = {name: value.tolist() for name, value in values.items() if isinstance(value, np.ndarray)}
        for name in ("score_means", "score_sds"):  # JSON has no NaN
            arrays[name] = [[None if v != v else v for v in row] for row in arrays[name]]
        return json.dumps({**values, **arrays}, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "PathwayScale":
        """Read what :meth:`to_json` wrote."""
        fix = "Pass what PathwayScale.to_json wrote."
        try:
            return cls(**_fields(json.loads(text), list(cls.__dataclass_fields__)))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            if isinstance(error, GenesError):
                raise
            raise GenesError("text", found=repr(error)[:200], expected="a pathway scale as JSON", fix=fix) from error


def _fields(held: Any, names: list[str]) -> dict[str, Any]:
    """Return what a scale is made of, from parsed JSON."""
    missing = sorted(set(names) - set(held if isinstance(held, dict) else ()))
    if missing:
        raise KeyError(f"no {missing}")
    texts = [held["name"], held["method"], *held["genes"]]
    weights = [weight for genes in held["net"].values() for weight in genes.values()]
    if not all(isinstance(one, str) for one in texts) or not all(_is_weight(one) for one in weights):
        raise TypeError("names that are no text, or weights that are no numbers")
    arrays = ("means", "sds", "depths", "score_means", "score_sds")
    numbers = {name: np.array(held[name], dtype=np.float64) for name in arrays}
    return {**held, **numbers, "genes": tuple(held["genes"])}


def _is_weight(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < _MOST
