"""Batches, workers, threads and processes change no numbers."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ..marks import weekly
from .digests import digests_of
from .running import PROMISED, VARIED, elsewhere

QUICK = ("tl.encode_image, a vision transformer", "tl.fuse")
BY_GENES = ("pp.score_pathways", "pp.tokenize_genes")  # what joins genes and sets by name


@pytest.mark.parametrize("name", [*QUICK, *weekly(*(name for name in VARIED if name not in QUICK))])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_batches_workers_and_threads_change_no_numbers(name: str) -> None:
    run, variants = VARIED[name]
    ((key, first),) = run().items()
    wanted = np.asarray(first)
    assert np.ptp(wanted, axis=0).max() > 0
    for what, options in variants.items():
        found = np.asarray(run(**options)[key])
        np.testing.assert_allclose(found, wanted, atol=PROMISED, err_msg=what)


@pytest.mark.parametrize("names", [BY_GENES, *weekly(((),))], ids=("some", "all"))
def test_two_processes_give_the_same_bytes_under_other_hashes(names: tuple[str, ...]) -> None:
    """Sets and dictionaries come in another order under another PYTHONHASHSEED."""
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(elsewhere, *names, hash_seed="2", n_threads="1")
        one = (
            digests_of(*names) if names else elsewhere(hash_seed="1", n_threads="1")
        )  # this process has a seed of its own
    assert len(one) == len(names) if names else len(one) > 50
    assert [name for name in one if one[name] != other.result()[name]] == []
