from itertools import product

import numpy as np
import pandas as pd
import pytest

from histoscribe._errors import OptionError
from histoscribe.metrics import top_k_overlap


@pytest.mark.parametrize("k", [1, 5, 20])
def test_overlap_is_that_of_sets(k: int) -> None:
    rng = np.random.default_rng(0)
    p, t = rng.normal(size=(2, 20, 3))
    expected = [len(set(np.argsort(-p[:, g])[:k]) & set(np.argsort(-t[:, g])[:k])) / k for g in range(3)]
    np.testing.assert_allclose(top_k_overlap(p, t, k), expected)


def test_ties_are_the_mean_over_all_ways_to_break_them() -> None:
    rng = np.random.default_rng(1)
    p, t = rng.integers(0, 2, (2, 5)).astype(float)
    orders = [rng.permutation(5) for _ in range(4000)]

    def top(x: np.ndarray, order: np.ndarray) -> set[int]:
        return set(order[np.argsort(-x[order], kind="stable")[:3]].tolist())

    pairs = list(product(orders[:200], orders[200:400]))
    expected = np.mean([len(top(p, a) & top(t, b)) / 3 for a, b in pairs])
    assert top_k_overlap(p[:, None], t[:, None], 3)[0] == pytest.approx(expected, abs=0.03)


def test_a_constant_prediction_is_chance() -> None:
    t = np.random.default_rng(2).normal(size=(40, 1))
    found = top_k_overlap(pd.DataFrame({"g": np.ones(40)}), pd.DataFrame(t, columns=["g"]), 10)
    assert found["g"] == pytest.approx(10 / 40)


@pytest.mark.parametrize("k", [0, 4, 1.5])
def test_what_does_not_fit_is_refused(k: int) -> None:
    with pytest.raises(OptionError, match="k: found"):
        top_k_overlap(np.ones((3, 1)), np.ones((3, 1)), k)
