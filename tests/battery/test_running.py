"""Batches, workers, threads and processes change no numbers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from .running import PROMISED, VARIED, elsewhere


@pytest.mark.parametrize("name", VARIED)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_batches_workers_and_threads_change_no_numbers(name: str) -> None:
    run, variants = VARIED[name]
    ((key, first),) = run().items()
    wanted = np.asarray(first)
    assert np.ptp(wanted, axis=0).max() > 0
    for what, options in variants.items():
        found = np.asarray(run(**options)[key])
        np.testing.assert_allclose(found, wanted, atol=PROMISED, err_msg=what)


def test_two_processes_give_the_same_bytes_under_other_hashes() -> None:
    """Sets and dictionaries come in another order under another PYTHONHASHSEED."""
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(lambda seed: elsewhere(hash_seed=seed, n_threads="1"), ("1", "2"))
    assert len(one) > 50
    assert [name for name in one if one[name] != other[name]] == []
