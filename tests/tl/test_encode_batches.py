import itertools
import threading
from typing import Any

import numpy as np
import pytest

from histoscribe._errors import ImageError
from histoscribe.tl._encode_batches import encode_batches, prefetch, rebatch


@pytest.mark.parametrize("sizes", [[3, 4, 5], [12], [1] * 12, []])
@pytest.mark.parametrize("size", [1, 5, 20])
def test_rebatch_cuts_and_joins_in_order(sizes: list[int], size: int) -> None:
    ends = np.cumsum([0, *sizes])
    parts = [(np.arange(a, b), np.arange(a, b) * 10) for a, b in itertools.pairwise(ends)]
    found = list(rebatch(iter(parts), size))
    assert [i for index, _ in found for i in index] == list(range(sum(sizes)))
    assert all((batch == index * 10).all() for index, batch in found)
    assert all(len(index) == size for index, _ in found[:-1])


def test_threads_hold_few_batches_at_a_time() -> None:
    taken = 0
    lock = threading.Lock()

    def tiles() -> Any:
        nonlocal taken
        for i in range(100):
            with lock:
                taken += 1
            yield np.array([i]), np.zeros((1, 2))

    for done, (index, _) in enumerate(encode_batches(tiles(), lambda batch: batch, 2)):
        assert index[0] == done
        assert taken - done <= 6


def test_the_next_batches_are_read_while_one_is_encoded() -> None:
    read, ahead = [], threading.Event()

    def tiles() -> Any:
        for i in range(6):
            read.append(i)
            if i == 1:
                ahead.set()
            yield i

    items = prefetch(tiles())
    assert next(items) == 0
    assert ahead.wait(5)
    assert max(read) <= 2
    assert list(items) == [1, 2, 3, 4, 5]


def test_errors_of_the_reader_come_out_and_it_ends_when_nobody_listens() -> None:
    def broken() -> Any:
        yield 1
        raise ImageError("tile", found="half", expected="whole", fix="Mend it.")

    items = prefetch(broken())
    assert next(items) == 1
    with pytest.raises(ImageError):
        next(items)
    before = threading.active_count()
    items = prefetch(itertools.count())
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert threading.active_count() == before
