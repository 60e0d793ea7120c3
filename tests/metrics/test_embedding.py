import numpy as np
import pytest

from histoscribe._errors import OptionError
from histoscribe.metrics import effective_rank


def test_rank_of_vectors_that_fill_some_dimensions_evenly() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5))
    u, _, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    assert effective_rank(u[:, :3] @ vt[:3] + 7) == pytest.approx(3)


def test_entropy_of_uneven_dimensions() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 2))
    u, _, vt = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    share = np.array([3, 1]) / 4
    expected = np.exp(-sum(p * np.log(p) for p in share))
    assert effective_rank(u @ np.diag([3.0, 1.0]) @ vt) == pytest.approx(expected)


def test_vectors_that_are_all_the_same_have_none() -> None:
    assert effective_rank(np.full((10, 4), 0.1)) == 0


def test_nan_is_refused() -> None:
    with pytest.raises(OptionError, match="valid rows"):
        effective_rank([[1.0, np.nan]])
