"""Sections into tokens for training: in memory, or kept in the cache so that a corpus may be larger than memory."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import HistoscribeError
from .._files import atomic_folder
from .._gene_names import GeneMatch, check_coverage, match_genes
from .._sections import positions, section_mpp
from .._settings import settings
from .._units import spacing, to_um
from .._vocabulary import PAD, Vocabulary
from .._warn import warn
from ..nn.genes._corpus import Corpus, OnDisk, Part, part_hash
from ..nn.genes._curve import along_curve
from ._feature_cache import cache_key
from ._held_out import patients_of
from ._lazy_sections import Source, among, open_source, summed_by_section

if TYPE_CHECKING:
    from ..pp._tokens import TokenOptions

_ARRAYS = ("tokens", "starts", "xy")
_TOKENS_AT_ONCE = 1 << 23
_LEAST_PITCH_PX = 1.9  # no spot, bin or cell is as small as that; rows and columns of an array are
_BROKEN = (OSError, ValueError, KeyError, TypeError, HistoscribeError)


@dataclass(frozen=True)
class Made:
    """Tokens of one AnnData or file, and whose its sections are."""

    part: Part
    patients: tuple[str | None, ...]


def tokens_of(one: AnnData | Path, vocabulary: Vocabulary, options: "TokenOptions") -> Made:
    """Make the tokens of a section in memory; those of a file, in the cache unless they are there."""
    if isinstance(one, AnnData):
        with open_source(one, options.layer, options.library_key) as source:
            return _in_memory(source, vocabulary, options)
    folder = settings.cache_dir / "tokens" / _key(one, vocabulary, options)
    try:
        return _opened(folder)
    except _BROKEN:
        pass
    with open_source(one, options.layer, options.library_key) as source, atomic_folder(folder) as new:
        _write(new, source, vocabulary, options)
    return _opened(folder)


def _key(path: Path, vocabulary: Vocabulary, options: "TokenOptions") -> str:
    from ..io._lazy import identity

    said = {"file": identity(path), "vocabulary": vocabulary.sha256, **options._asdict()}
    return cache_key({name: None if value is None else str(value) for name, value in said.items()})


def _in_memory(source: Source, vocabulary: Vocabulary, options: "TokenOptions") -> Made:
    lengths, blocks = [], []
    for own, tokens in _tokens(source, vocabulary, options):
        lengths.append(own)
        blocks.append(tokens)
    there = _as_read(np.concatenate(blocks), np.concatenate(lengths))
    del blocks
    xy, order, described = _ordered(source)
    starts = _starts(np.concatenate(lengths)[order])
    arrays = np.concatenate(list(_reordered(there, order))), starts, xy
    part = Part(*arrays, **described, sha256=part_hash(*arrays))
    return Made(part, patients_of(source.frame, source.sections))


def _write(folder: Path, source: Source, vocabulary: Vocabulary, options: "TokenOptions") -> None:
    raw, lengths = folder / "raw.bin", []
    with raw.open("wb") as file:
        for own, tokens in _tokens(source, vocabulary, options):
            lengths.append(own)
            tokens.tofile(file)
    n_each = np.concatenate(lengths)
    xy, order, described = _ordered(source)
    there = _as_read(OnDisk(raw, tokens.dtype.str, (int(n_each.sum()),)), n_each)
    with (folder / "tokens.bin").open("wb") as file:
        for block in _reordered(there, order):
            block.tofile(file)
    raw.unlink()
    _starts(n_each[order]).tofile(folder / "starts.bin")
    xy.tofile(folder / "xy.bin")
    arrays = {
        "tokens": (tokens.dtype.str, (int(n_each.sum()),)),
        "starts": ("<i8", (len(order) + 1,)),
        "xy": ("<f8", xy.shape),
    }
    digest = part_hash(*(OnDisk(folder / f"{name}.bin", *arrays[name]) for name in _ARRAYS))
    index = {**described, "arrays": arrays, "sha256": digest, "patients": patients_of(source.frame, source.sections)}
    (folder / "index.json").write_text(json.dumps(index))


def _opened(folder: Path) -> Made:
    """Tokens that were written before, if they are still what was written."""
    index = json.loads((folder / "index.json").read_text())
    tokens, starts, xy = (OnDisk(folder / f"{name}.bin", *index["arrays"][name]) for name in _ARRAYS)
    if part_hash(tokens, starts, xy) != index["sha256"]:
        raise ValueError(f"{folder} holds something else than was written")
    part = Part(tokens, starts, xy, tuple(index["stops"]), tuple(index["pitches"]), index["sha256"])
    return Made(part, tuple(index["patients"]))


def _tokens(
    source: Source, vocabulary: Vocabulary, options: "TokenOptions"
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.unsignedinteger]]]:
    """Yield number of tokens of each spot, and the tokens one after another, a block of rows at a time."""
    from ..pp._gene_sums import covered

    sums, match = [], match_genes(source.frame, vocabulary.genes)
    totals: dict[str, NDArray[np.float64]] = {}
    if options.rank == "section":
        totals, _ = among(summed_by_section(source, apart=True), match, len(vocabulary))
    for tokens, own in token_blocks(source, vocabulary, options, match=match, totals=totals):
        sums.append(own.sum(axis=0))
        real = tokens != PAD
        yield real.sum(axis=1), tokens[real]
    n_found, coverage = int(match.found.sum()), covered(np.array(sums))
    check_coverage(source.frame, vocabulary.genes, n_found, coverage, among="in the vocabulary")


def token_blocks(
    source: Source,
    vocabulary: Vocabulary,
    options: "TokenOptions",
    *,
    match: GeneMatch,
    totals: Mapping[str, NDArray[np.float64]],
) -> Iterator[tuple[NDArray[np.unsignedinteger], NDArray[np.float64]]]:
    """Yield tokens (n, n_tokens) of blocks of rows, and what they cover (n, 2)."""
    from ..pp._tokens import block_tokens

    for start, counts in source.blocks(options.n_tokens):
        rows = source.rows_of(start, start + counts.shape[0]) if options.rank == "section" else {}
        yield block_tokens(counts, vocabulary, options, match=match, rows=rows, totals=totals)


def _ordered(source: Source) -> tuple[NDArray[np.float64], NDArray[np.int64], dict[str, Any]]:
    """Positions in um along the curves of the sections, the row of each, and where sections end."""
    xy, order, pitches = positions(source.frame), [], []
    xy[~np.isfinite(xy).all(axis=1)] = np.nan
    for name, rows in source.sections.items():
        mpp = section_mpp(source.frame, name)
        xy[rows] = to_um(xy[rows], mpp)
        order.append(rows[along_curve(xy[rows])])
        pitches.append(spacing(xy[rows]))
        _warn_of_places(xy[order[-1]], name, (pitches[-1] or np.inf) / mpp)
    stops = np.cumsum([len(rows) for rows in order]).tolist()
    stacked = np.concatenate(order)
    return xy[stacked], stacked, {"stops": tuple(stops), "pitches": tuple(pitches)}


def _warn_of_places(xy: NDArray[np.float64], name: str, pitch_px: float) -> None:
    again = int((np.diff(xy, axis=0) == 0).all(axis=1).sum())  # along a curve, those at one place follow each other
    if again:
        msg = f"{again} spots of section {name!r} lie at the place of another one; is it one section?"
        warn(msg)
    if pitch_px < _LEAST_PITCH_PX:
        msg = f"spots of section {name!r} are {pitch_px:.3g} px apart: full-resolution pixels are needed, not rows and columns"
        warn(msg)


def _as_read(tokens: Any, lengths: NDArray[np.int64]) -> Corpus:
    """Tokens in the order of the rows of their source."""
    nowhere = np.zeros((len(lengths), 0))
    return Corpus([Part(tokens, _starts(lengths), nowhere, (len(lengths),), (None,), "")])


def _reordered(there: Corpus, order: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Yield the tokens of rows in another order, a block at a time."""
    ends = np.cumsum(there.lengths(0, len(there))[order])
    cuts = np.unique(np.searchsorted(ends, np.arange(0, int(ends[-1]), _TOKENS_AT_ONCE)))
    for rows in np.split(order, cuts[1:]):
        ascending = np.argsort(rows, kind="stable")
        flat, lengths = there.ragged(rows[ascending])
        back = np.argsort(ascending, kind="stable")
        n_each = lengths[back]
        first = np.repeat((np.cumsum(lengths) - lengths)[back] - (np.cumsum(n_each) - n_each), n_each)
        yield flat[first + np.arange(len(first))]


def _starts(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def corpus_of(
    adatas: Sequence[AnnData | Path], vocabulary: Vocabulary, options: "TokenOptions"
) -> tuple[Corpus, list[str | None]]:
    """All sections as one corpus, and whose each is."""
    made = [tokens_of(one, vocabulary, options) for one in adatas]
    return Corpus([one.part for one in made]), [patient for one in made for patient in one.patients]
