"""Vectors less the mean of their section: what sets a section apart as a whole plays no part in them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_STEPS = 2.0**30  # of a unit: whole numbers add up to the same sum in any order and in any blocks


class SectionMeans:
    """Means of the vectors of each section, added up block by block."""

    def __init__(self) -> None:
        self._sums: dict[str, NDArray[np.int64]] = {}
        self._counts: dict[str, int] = {}

    def add(
        self, vectors: NDArray[np.float32], ok: NDArray[np.bool_], sections: Mapping[str, NDArray[np.intp]]
    ) -> None:
        """Take up the vectors (n, d) of a block of rows that count, given the rows of each section within it."""
        for name, rows in sections.items():
            own = vectors[rows[ok[rows]]]
            total = np.rint(own.astype(np.float64) * _STEPS).astype(np.int64).sum(axis=0)
            self._sums[name] = self._sums.get(name, 0) + total
            self._counts[name] = self._counts.get(name, 0) + len(own)

    def subtract(
        self, vectors: NDArray[np.float32], ok: NDArray[np.bool_], sections: Mapping[str, NDArray[np.intp]]
    ) -> NDArray[np.float32]:
        """Return vectors (n, d) of a block less the means of their sections; rows that don't count stay as they are."""
        centred = np.array(vectors)
        for name, rows in sections.items():
            mean = self._sums[name] / _STEPS / max(self._counts[name], 1)
            centred[rows[ok[rows]]] -= mean.astype(np.float32)
        return centred


def less_their_means(
    vectors: NDArray[np.float32], ok: NDArray[np.bool_], sections: Mapping[str, NDArray[np.intp]]
) -> NDArray[np.float32]:
    """Vectors (n, d) of whole sections, less the mean of each; rows that don't count stay as they are."""
    means = SectionMeans()
    means.add(vectors, ok, sections)
    return means.subtract(vectors, ok, sections)
