"""Sections in memory or in files, read alike: by blocks of rows."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._counts import Fractions, check_genes, counts_layer, raw_counts
from .._errors import OptionError
from .._gene_names import GeneMatch, own_names
from .._keys import Keys
from .._record import each
from .._sections import sections
from .._warn import warn

if TYPE_CHECKING:
    from ..io._lazy import LazySection
    from ..pp._gene_sums import GeneSums

Section: TypeAlias = AnnData | str | Path
Sections: TypeAlias = Section | Sequence[Section]

_VALUES, _TOKENS = 1 << 22, 1 << 23  # counts and tokens of a block: some tens of megabytes


def each_section(adatas: Sections) -> list[AnnData | Path]:
    """List what the user passed: AnnData in memory, and the real paths of files."""
    from ..io._lazy import found

    given = list(adatas) if isinstance(adatas, (list, tuple)) else [adatas]
    listed = [found(one) if isinstance(one, (str, Path)) else one for one in given]
    in_memory = [one for one in listed if not isinstance(one, Path)]
    if in_memory or not listed:
        each(in_memory)
    paths = [one for one in listed if isinstance(one, Path)]
    if len(set(paths)) < len(paths):
        fix = "Pass each section once."
        raise OptionError("adata", found="the same file twice", expected="different sections", fix=fix)
    return listed


class Source:
    """One AnnData, in memory or in a file.

    Parameters
    ----------
    held
        Where the counts are.
    layer
        Layer with raw counts.
    library_key
        Column of ``obs`` that says the section of a spot.
    """

    def __init__(self, held: "AnnData | LazySection", layer: str | None, library_key: str) -> None:
        self._held, self._layer, self._library_key = held, layer, library_key
        self._judged = False
        self.frame: AnnData = held if isinstance(held, AnnData) else held.frame
        check_genes(self.frame)

    @cached_property
    def sections(self) -> dict[str, NDArray[np.intp]]:
        """Rows of each section."""
        return sections(self.frame, self._library_key)

    def warn_of_one_section(self) -> None:
        """Warn where nothing says what the sections are, and names that occur twice speak of several."""
        frame = self.frame
        if self._library_key in frame.obs or frame.obs_names.is_unique:
            return
        msg = f"obs_names are not unique: is this several sections? Without obs[{self._library_key!r}] it counts as one"
        warn(msg)

    @cached_property
    def _counts(self) -> sp.csr_matrix:
        return raw_counts(cast(AnnData, self._held), self._layer)

    def blocks(self, n_tokens: int = 1) -> Iterator[tuple[int, sp.csr_matrix]]:
        """Yield the first row and the checked counts of blocks of rows; few enough that each may have ``n_tokens``."""
        if isinstance(self._held, AnnData):
            for start, stop in _bounds(self._counts.indptr, n_tokens):
                yield start, self._counts[start:stop]
            return
        place = counts_layer(self._held.layers, self._layer)
        starts, fractions = cast(NDArray[np.int64], self._held.row_starts(place)), Fractions()
        for start, stop in _bounds(starts, n_tokens):
            yield start, raw_counts(self._held.rows(place, start, stop), self._layer, fractions)
        if not self._judged:
            fractions.judge(self._held.frame, "X" if place is None else f"layers[{place!r}]")
            self._judged = True

    def rows_of(self, start: int, stop: int) -> dict[str, NDArray[np.intp]]:
        """Rows of each section within a block."""
        cuts = {name: np.searchsorted(rows, [start, stop]) for name, rows in self.sections.items()}
        return {name: self.sections[name][low:high] - start for name, (low, high) in cuts.items() if low < high}


def _bounds(starts: NDArray[Any], n_tokens: int) -> Iterator[tuple[int, int]]:
    """First and last row of each block, by where the values of each row start."""
    n, start = len(starts) - 1, 0
    while start < n:
        stop = int(np.searchsorted(starts, starts[start] + _VALUES, side="right")) - 1
        stop = min(max(stop, start + 1), start + max(1, _TOKENS // n_tokens), n)
        yield start, stop
        start = stop


@contextmanager
def open_source(one: AnnData | Path, layer: str | None, library_key: str) -> Iterator[Source]:
    """Open a section for reading."""
    from ..io._lazy import open_lazily

    if isinstance(one, AnnData):
        yield Source(one, layer, library_key)
        return
    with open_lazily(one, layer, [library_key, Keys.PATIENT]) as held:
        if held.n_obs == 0 if isinstance(held, AnnData) else held.frame.n_obs == 0:
            fix = "Check the filter before this."
            raise OptionError(str(one), found="0 observations", expected="at least one", fix=fix)
        yield Source(held, layer, library_key)


def summed(source: Source) -> tuple["GeneSums", list[str]]:
    """Sum the counts of each gene, and name the genes, for a vocabulary."""
    from ..pp._gene_sums import gene_sums

    sums = gene_sums(sp.csr_matrix((0, source.frame.n_vars)))
    for _, counts in source.blocks():
        sums = gene_sums(counts, sums)
    return sums, own_names(source.frame)


def summed_by_section(source: Source, *, apart: bool) -> dict[str, NDArray[np.float64]]:
    """Sum the counts of each gene (g,), by section where these are told ``apart``."""
    from ..pp._gene_sums import gene_sums

    sums: dict[str, GeneSums] = {}
    for start, counts in source.blocks():
        inside = source.rows_of(start, start + counts.shape[0]) if apart else {"": slice(None)}
        for name, rows in inside.items():
            sums[name] = gene_sums(counts[rows], sums.get(name))
    return {name: found.counts for name, found in sums.items()}


def among(
    sums: Mapping[str, NDArray[np.float64]], match: GeneMatch, n_genes: int
) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Return the sums of the genes of a vocabulary, in its order, and their share of all counts."""
    totals = {name: np.zeros(n_genes) for name in sums}
    for name, found in sums.items():
        totals[name][match.position[match.found]] = found[match.found]
    everything = float(sum(found.sum() for found in sums.values()))
    return totals, float(sum(found.sum() for found in totals.values())) / everything if everything else 1.0
