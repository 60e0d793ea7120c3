import numpy as np
import pandas as pd
import pytest

from histoscribe._errors import OptionError
from histoscribe.metrics import domain_agreement


def test_ari_is_the_pair_counting_formula() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 3, 60), rng.integers(0, 4, 60)
    b[:40] = a[:40]
    pairs = [(a[i] == a[j], b[i] == b[j]) for i in range(60) for j in range(i)]
    n = len(pairs)
    same, in_a, in_b = (sum(f(p) for p in pairs) for f in (lambda p: p[0] and p[1], lambda p: p[0], lambda p: p[1]))
    expected = (same - in_a * in_b / n) / ((in_a + in_b) / 2 - in_a * in_b / n)
    assert domain_agreement(a, b)["ari"] == pytest.approx(expected)


def test_missing_rows_are_left_out_and_counted() -> None:
    labels = pd.Categorical(["0", "0", None, "1", "1"])
    truth = np.array(["a", "a", "a", "b", None], dtype=object)
    assert domain_agreement(labels, truth) == {"ari": 1.0, "nmi": 1.0, "n": 3, "n_missing": 2}


@pytest.mark.parametrize(("truth", "found"), [(["a"], "2 rows"), ([None, None], "no spot")])
def test_nothing_to_compare_is_an_error(truth: list[object], found: str) -> None:
    with pytest.raises(OptionError, match=f"labels: found {found}"):
        domain_agreement(["0", "1"], truth)
