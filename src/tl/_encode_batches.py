"""Batches on their way through an encoder: read ahead, cut to one size, encoded in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._errors import OptionError

Indexed = tuple[NDArray[np.intp], Any]
_AHEAD = 2  # batches


def prefetch(items: Iterable[Any], ahead: int = _AHEAD) -> Generator[Any]:
    """Yield the items in order, a thread making the next ones meanwhile, never more than ``ahead`` of them."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, source, end) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(pool.submit(next, source, end))
                yield item
        finally:  # whoever stops early does not wait for what was not begun
            pool.shutdown(cancel_futures=True)


def rebatch(batches: Iterable[Indexed], size: int) -> Iterator[Indexed]:
    """Cut and join batches so that each has ``size`` rows, but for the last."""
    held: list[Indexed] = []
    for index, batch in batches:
        held.append((index, batch))
        while sum(len(i) for i, _ in held) >= size:
            index, batch = _joined(held)
            yield index[:size], batch[:size]
            held = [(index[size:], batch[size:])]
    index, batch = _joined(held) if held else (np.empty(0, dtype=np.intp), None)
    if len(index):
        yield index, batch


def _joined(parts: list[Indexed]) -> Indexed:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([i for i, _ in parts]), np.concatenate([b for _, b in parts])


def encode_batches(
    tiles: Iterable[Indexed], encode: Callable[[Any], Any], num_workers: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Encode batches in order, in threads where asked for, never holding more than a few of them in memory."""
    if num_workers == 0:
        for index, batch in tiles:
            yield index, _checked(encode(batch), len(index))
        return
    with ThreadPoolExecutor(num_workers) as pool:
        waiting: deque[tuple[Any, Future[Any]]] = deque()
        for index, batch in tiles:
            waiting.append((index, pool.submit(encode, batch)))
            if len(waiting) > 2 * num_workers:
                first, result = waiting.popleft()
                yield first, _checked(result.result(), len(first))
        for first, result in waiting:
            yield first, _checked(result.result(), len(first))


def _checked(vectors: Any, n: int) -> NDArray[np.float32]:
    """Vectors as float32, refused where an encoder of the user's did not return one for each tile."""
    rows = np.asarray(vectors, dtype=np.float32)
    if rows.ndim < 2 or len(rows) != n:
        found = f"shape {rows.shape} for {n} tiles"
        fix = "Return one vector a tile from its __call__."
        raise OptionError("encoder", found=found, expected=f"vectors ({n}, d)", fix=fix)
    return rows
