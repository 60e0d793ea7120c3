from types import SimpleNamespace

import numba
import numpy as np
import pytest

from histoscribe._jit import in_threads, kernel


def test_kernels_work_where_compiled_code_can_not_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_only(*, nogil: bool, cache: bool = False) -> object:
        if cache:
            raise RuntimeError("no locator available")
        return numba.njit(nogil=nogil)

    monkeypatch.setattr("histoscribe._jit.numba", SimpleNamespace(njit=read_only))
    assert kernel(lambda x: x + 1)(2) == 3


@pytest.mark.parametrize("n_threads", [1, 3])
def test_every_block_is_worked_on_and_errors_come_through(n_threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.NUMBA_NUM_THREADS", n_threads)
    done = np.zeros(20)

    def work(k: int) -> None:
        done[k] += 1

    in_threads(work, list(range(20)))
    assert (done == 1).all()
    with pytest.raises(IndexError):
        in_threads(work, [3, 99])
