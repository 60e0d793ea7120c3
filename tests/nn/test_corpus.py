import pickle
from pathlib import Path

import numpy as np
import pytest

from histoscribe._errors import FileError
from histoscribe.nn.genes._corpus import Corpus, OnDisk, Part, Values, part_hash


def _part(n: int, seed: int, stops: tuple[int, ...] | None = None) -> Part:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, 6, n)
    tokens = rng.integers(30, 99, lengths.sum()).astype(np.uint16)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    xy = rng.uniform(0, 1000, (n, 2))
    stops = stops or (n,)
    return Part(tokens, starts, xy, stops, (100.0,) * len(stops), part_hash(tokens, starts, xy))


def _kept(part: Part, folder: Path) -> Part:
    arrays: list[Values] = []
    for name, array in (("tokens", part.tokens), ("starts", part.starts), ("xy", part.xy)):
        np.asarray(array).tofile(folder / name)
        arrays.append(OnDisk(folder / name, np.asarray(array).dtype.str, array.shape))
    return Part(*arrays, stops=part.stops, pitches=part.pitches, sha256=part_hash(*arrays))  # type: ignore[misc, arg-type]


@pytest.fixture
def parts() -> list[Part]:
    return [_part(150, 0, (100, 150)), _part(40, 1), _part(1, 2)]


@pytest.mark.parametrize("kept", [False, True])
def test_tokens_are_those_of_each_spot_padded(parts: list[Part], tmp_path: Path, *, kept: bool) -> None:
    corpus = Corpus([_kept(part, tmp_path) if kept and k == 0 else part for k, part in enumerate(parts)])
    flat = [np.split(np.asarray(part.tokens), np.asarray(part.starts)[1:-1]) for part in parts]
    by_hand = [spot for part in flat for spot in part]
    rows = np.random.default_rng(3).integers(-1, 191, 60)
    found = corpus.tokens(rows)
    assert found.shape[1] == max(len(by_hand[row]) for row in rows if row >= 0)
    for row, tokens in zip(rows, found, strict=True):
        wanted = by_hand[row].tolist() if row >= 0 else []
        assert tokens.tolist() == wanted + [0] * (len(tokens) - len(wanted))


def test_no_spot_at_all_is_one_column_of_padding(parts: list[Part]) -> None:
    assert Corpus(parts).tokens(np.array([-1, -1])).tolist() == [[0], [0]]


def test_sections_are_numbered_through(parts: list[Part]) -> None:
    corpus = Corpus(parts)
    assert [(start, stop) for start, stop, _ in corpus.sections] == [(0, 100), (100, 150), (150, 190), (190, 191)]
    np.testing.assert_array_equal(corpus.xy(155, 190), np.asarray(parts[1].xy)[5:])
    np.testing.assert_array_equal(corpus.lengths(100, 150), np.diff(np.asarray(parts[0].starts))[100:])
    assert len(corpus) == 191


def test_on_disk_and_in_memory_are_the_same_corpus(parts: list[Part], tmp_path: Path) -> None:
    kept = _kept(parts[0], tmp_path)
    assert kept.sha256 == parts[0].sha256 != parts[1].sha256
    np.testing.assert_array_equal(kept.xy[5:9], parts[0].xy[5:9])
    assert Corpus([kept]).sha256 == Corpus(parts[:1]).sha256 != Corpus(parts).sha256


def test_processes_that_load_data_can_be_handed_it(parts: list[Part], tmp_path: Path) -> None:
    corpus, rows = Corpus([_kept(parts[0], tmp_path)]), np.arange(0, 150, 7)
    held = pickle.dumps(corpus)
    assert len(held) < 3000
    np.testing.assert_array_equal(pickle.loads(held).tokens(rows), corpus.tokens(rows))


def test_a_file_that_was_cut_off_meanwhile_is_an_error(parts: list[Part], tmp_path: Path) -> None:
    kept = Corpus([_kept(parts[0], tmp_path)])
    (tmp_path / "tokens").write_bytes((tmp_path / "tokens").read_bytes()[:50])
    with pytest.raises(FileError, match="start again"):
        kept.tokens(np.array([149, 148]))
