"""Compiled loops over the rows of sparse counts: compiled once, run in threads, the same result with any number."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numba
import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop that lets other threads run; the code is kept on disk where a folder can be written."""
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # a read-only installation and home
        return numba.njit(nogil=True)(function)


def in_threads(work: Callable[[Any], None], blocks: list[Any]) -> None:
    """Run ``work`` on each block, in as many threads as numba may use; blocks must write to rows of their own."""
    n_threads = min(numba.config.NUMBA_NUM_THREADS, len(blocks))  # type: ignore[attr-defined]
    if n_threads < 2:
        for block in blocks:
            work(block)
        return
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in pool.map(work, blocks):  # an error in a block is raised here, and the rest is not begun
            pass


def plain_csr(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return the counts with values that a compiled loop can read: booleans as bytes."""
    if counts.dtype != np.bool_:
        return counts
    return sp.csr_matrix((counts.data.view(np.uint8), counts.indices, counts.indptr), shape=counts.shape)
