from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from histoscribe.nn.genes import _chunks, _groups
from histoscribe.nn.genes._chunks import Chunk, mixes
from histoscribe.nn.genes._corpus import Corpus, Part
from histoscribe.nn.genes._curve import along_curve
from histoscribe.nn.genes._groups import GroupRows, extent_um
from histoscribe.nn.genes._neighbourhoods import ABSENT


def _corpus(*sections: tuple[int, float]) -> Corpus:
    """Square sections of so many spots, so far apart, in files of their own but for the first two."""
    placed = []
    for n, pitch in sections:
        side = int(np.ceil(np.sqrt(n)))
        xy = np.column_stack([np.arange(n) % side, np.arange(n) // side]) * float(pitch)
        placed.append(xy[along_curve(xy)])
    stacked = [placed[:2], *([one] for one in placed[2:])]
    pitches = iter(pitch for _, pitch in sections)
    parts = []
    for own in stacked:
        n = sum(map(len, own))
        stops = tuple(np.cumsum([len(one) for one in own]).tolist())
        of = tuple(next(pitches) for _ in own)
        parts.append(Part(np.arange(30, 30 + n), np.arange(n + 1), np.concatenate(own), stops, of, ""))
    return Corpus(parts)


def _rows(corpus: Corpus, **options: Any) -> GroupRows:
    return GroupRows(corpus, np.ones(len(corpus), dtype=bool), **{"size": 9, **options})


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_chunks, "CHUNK_SPOTS", 100)
    monkeypatch.setattr(_chunks, "MIXED_SPOTS", 250)


def _epoch(rows: GroupRows, epoch: int, batch_size: int = 36) -> list[np.ndarray]:
    return [groups for groups, _ in rows.batches(batch_size, 0, lambda: epoch)]


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("overlap", [False, True])
def test_every_spot_comes_once_an_epoch_whatever_is_mixed(*, overlap: bool) -> None:
    corpus = _corpus((400, 100), (130, 100), (7, 100), (900, 16))
    rows = _rows(corpus, overlap=overlap)
    section = np.repeat(np.arange(4), [400, 130, 7, 900])
    for epoch in range(3):
        batches = _epoch(rows, epoch)
        assert len(batches) == len(rows.batches(36, 0, None))
        groups = np.concatenate(batches)
        served = groups[:, 0] if overlap else groups[groups != ABSENT]
        assert sorted(served) == list(range(len(corpus)))
        for group in groups:
            assert len(set(section[group[group != ABSENT]])) == 1
    sizes = [len(batch) for batch in batches]
    assert min(sizes) >= np.mean(sizes) / 2


@pytest.mark.usefixtures("small_chunks")
def test_an_epoch_is_a_function_of_seed_and_number() -> None:
    rows = _rows(_corpus((400, 100), (300, 100)))
    first, again, other = (np.concatenate(_epoch(rows, epoch)) for epoch in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first[: len(other)], other[: len(first)])


@pytest.mark.usefixtures("small_chunks")
def test_batches_are_of_several_chunks_and_sections() -> None:
    batches = _epoch(_rows(_corpus((400, 100), (400, 100), (400, 100))), 0, batch_size=72)
    assert np.mean([len({spot // 100 for spot in batch[:, 0]}) for batch in batches]) > 1.5
    assert len({batch[0, 0] // 400 for batch in batches}) == 3


def test_spots_that_are_not_chosen_are_never_served() -> None:
    corpus = _corpus((400, 100), (130, 100))
    chosen = np.arange(530) % 3 > 0
    rows = GroupRows(corpus, chosen, size=9)
    groups = np.concatenate(_epoch(rows, 0))
    assert sorted(groups[groups != ABSENT]) == np.flatnonzero(chosen).tolist()
    assert len(rows) == chosen.sum()
    assert rows.sha256() != _rows(corpus).sha256()


@pytest.mark.parametrize("overlap", [False, True])
def test_in_dense_sections_groups_reach_as_far_as_in_wide_ones(*, overlap: bool) -> None:
    rows = _rows(_corpus((3600, 16), (900, 100)), overlap=overlap)
    assert rows.extents == [300, 600]
    groups = np.concatenate(_epoch(rows, 0))
    for first, stop, extent in ((0, 3600, 300), (3600, 4500, 600)):
        whole = groups[(groups[:, 0] >= first) & (groups[:, 0] < stop) & (groups != ABSENT).all(axis=1)]
        xy = rows.corpus.xy(first, stop)
        reach = np.array([pdist(xy[group - first]).max() for group in whole])
        assert reach.max() <= extent
        assert 0.35 < np.median(reach) / extent < 0.75
        assert len(whole) * 9 > 0.5 * (stop - first)


def test_extents() -> None:
    assert [extent_um(pitch) for pitch in (None, 2.0, 50.0, 100.0)] == [300, 300, 300, 600]
    assert _rows(_corpus((50, 16), (50, 100)), max_extent_um=450.0).extents == [450, 450]


def test_a_batch_holds_tokens_numbers_and_seed() -> None:
    rows = _rows(_corpus((40, 100)))
    groups = np.array([[3, 1, ABSENT], [7, 39, 0]])
    batch = rows[groups, (5, 2)]
    assert batch["tokens"].tolist() == [[[33], [31], [0]], [[37], [69], [30]]]
    assert batch["spot"].tolist() == groups.tolist()
    assert batch["seed"].tolist() == [5, 2]


@pytest.mark.parametrize(("n", "batch_size"), [(400, 36), (100, 9), (9, 9), (20, 300)])
def test_processes_share_out_the_batches_of_one(n: int, batch_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _rows(_corpus((n, 100)))
    shares = []
    for rank in range(2):
        monkeypatch.setattr(_groups, "rank_and_world", lambda rank=rank: (rank, 2))
        shares.append(_epoch(rows, 0, batch_size))
    monkeypatch.setattr(_groups, "rank_and_world", lambda: (0, 1))
    alone = _epoch(rows, 0, 2 * batch_size)
    assert len(shares[0]) == len(shares[1])
    assert all(len(own) for share in shares for own in share)
    together = np.concatenate([np.concatenate(share) for share in shares])
    together = together[(together != ABSENT).any(axis=1)]
    assert sorted(map(tuple, together)) == sorted(map(tuple, np.concatenate(alone)))


def test_mixes_share_out_all_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_chunks, "MIXED_SPOTS", 250)
    rng = np.random.default_rng(0)
    for _ in range(50):
        chunks = [Chunk(k, 0, 0, int(n)) for k, n in enumerate(rng.integers(1, 200, rng.integers(1, 30)))]
        n_batches = int(rng.integers(1, 60))
        found = list(mixes(chunks, n_batches))
        assert [chunk for mixed, _ in found for chunk in mixed] == chunks
        assert sum(n for _, n in found) == n_batches
        assert min(n for _, n in found) >= 1
