from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from histoscribe._errors import OptionError
from histoscribe.metrics import recall_at_k


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("grouped", [False, True])
def test_recall_is_that_of_a_loop_over_rows(k: int, grouped: bool) -> None:
    rng = np.random.default_rng(1)
    a = rng.normal(size=(50, 4))
    b = a + rng.normal(size=(50, 4))
    groups = rng.integers(0, 3, 50) if grouped else np.zeros(50, dtype=int)
    distance = cdist(a, b, "cosine")
    hits = []
    for i in range(50):
        others = np.flatnonzero(groups == groups[i])
        hits.append(i in others[np.argsort(distance[i, others])[:k]])
    assert recall_at_k(a, b, k, groups=groups if grouped else None) == pytest.approx(np.mean(hits))


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    a = rng.normal(size=(90, 3))
    b = a + rng.normal(size=(90, 3))
    whole = recall_at_k(a, b, 5)
    monkeypatch.setattr("histoscribe.metrics._retrieval._CHUNK", 7)
    assert recall_at_k(a, b, 5) == whole


def test_collapsed_vectors_find_nothing() -> None:
    same = np.ones((20, 3))
    assert recall_at_k(same, same, 10) == 0


@pytest.mark.parametrize(
    ("a", "b", "k", "groups", "field"),
    [
        (np.ones((3, 2)), np.ones((4, 2)), 1, None, "b"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), 1, None, "a"),
        (np.ones((3, 2)), np.ones((3, 2)), 0, None, "k"),
        (np.ones((3, 2)), np.ones((3, 2)), 1, [0, 1], "groups"),
    ],
)
def test_what_does_not_fit_is_refused(a: Any, b: Any, k: int, groups: Any, field: str) -> None:
    with pytest.raises(OptionError, match=f"^{field}: found"):
        recall_at_k(a, b, k, groups=groups)
