from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from histoscribe._errors import OptionError
from histoscribe.metrics import pearson_per_gene, spearman_per_gene


def test_pearson_is_that_of_scipy_gene_by_gene() -> None:
    rng = np.random.default_rng(0)
    t = rng.normal(size=(30, 4)) * [1, 10, 1e-3, 1] + 5
    p = t + rng.normal(size=(30, 4))
    scores = pearson_per_gene(p, pd.DataFrame(t, columns=list("abcd")))
    assert list(scores.index) == list("abcd")
    np.testing.assert_allclose(scores["pearson"], [pearsonr(p[:, g], t[:, g])[0] for g in range(4)])
    assert not scores["constant"].any()


def test_constant_genes_are_nan_and_counted() -> None:
    rng = np.random.default_rng(0)
    p, t = rng.normal(size=(10, 3)), rng.normal(size=(10, 3))
    p[:, 0], t[:, 1] = 0.1, 0.3
    scores = pearson_per_gene(p, t)
    assert list(scores["constant"]) == [True, True, False]
    assert list(scores["pearson"].isna()) == [True, True, False]


def test_spearman_is_that_of_scipy_with_ties() -> None:
    rng = np.random.default_rng(0)
    t = rng.poisson(2, size=(30, 4)).astype(float)
    p = np.exp(t + rng.normal(size=(30, 4)).round(1))
    scores = spearman_per_gene(pd.DataFrame(p, columns=list("abcd")), t)
    assert list(scores.index) == list("abcd")
    np.testing.assert_allclose(scores["spearman"], [spearmanr(p[:, g], t[:, g])[0] for g in range(4)])
    t[:, 1] = 2
    assert list(spearman_per_gene(p, t)["constant"]) == [False, True, False, False]


@pytest.mark.parametrize(
    ("p", "t", "found"),
    [
        (np.ones((3, 2)), np.ones((3, 1)), "shape"),
        (np.full((3, 2), np.nan), np.ones((3, 2)), "6 NaN"),
        (pd.DataFrame({"a": [1.0]}), pd.DataFrame({"b": [1.0]}), "other columns"),
    ],
)
def test_what_does_not_fit_is_refused(p: Any, t: Any, found: str) -> None:
    with pytest.raises(OptionError, match=f"predicted: found {found}"):
        pearson_per_gene(p, t)
