import numpy as np
import pytest
import scipy.sparse as sp

from histoscribe._expression import counts_per_10k, log_cp10k


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32, np.float64])
def test_normalisation_equals_the_dense_formula(dtype: type) -> None:
    dense: np.ndarray = np.random.default_rng(0).poisson(300, (20, 200)).astype(dtype)  # sums beyond 16 bits
    scaled = 1e4 * dense.astype(float) / dense.astype(float).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(counts_per_10k(sp.csr_matrix(dense)).toarray(), scaled)
    np.testing.assert_allclose(log_cp10k(sp.csr_matrix(dense)).toarray(), np.log1p(scaled))


def test_empty_spots_stay_empty_and_the_counts_are_not_touched() -> None:
    counts = sp.csr_matrix(np.array([[0, 0], [1.0, 3.0], [0.0, 1e-3]]))
    before = counts.copy()
    assert log_cp10k(counts).toarray()[0].tolist() == [0, 0]
    assert counts_per_10k(counts).toarray()[2].tolist() == [0, 1e4]
    assert (counts != before).nnz == 0
