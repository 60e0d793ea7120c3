"""Raw counts: what is checked, and that nothing is copied or changed on the way."""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from histoscribe._counts import _as_csr, raw_counts
from histoscribe._errors import CountsError


def _adata(values: object) -> AnnData:
    adata = AnnData(np.zeros(values.shape, dtype=np.float32))  # type: ignore[attr-defined]
    adata.layers["counts"] = values
    return adata


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_csr_is_shared_and_checked_without_a_second_copy(dtype: type) -> None:
    rng = np.random.default_rng(0)
    counts = sp.random(2000, 1000, 0.5, "csr", rng=rng, data_rvs=lambda n: rng.integers(1, 99, n)).astype(dtype)
    adata = _adata(counts)
    tracemalloc.start()
    found = raw_counts(adata)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.shares_memory(found.data, adata.layers["counts"].data)
    assert peak < 0.2 * counts.data.nbytes


@pytest.mark.parametrize(
    ("where", "value", "said"),
    [(0, np.nan, "1 NaN"), (-1, np.inf, "1 NaN"), (70_000, -2.0, r"down to -2"), (-1, 0.5, "log-normalised")],
)
def test_one_wrong_value_among_many_is_found(where: int, value: float, said: str) -> None:
    values = np.ones((300, 300))
    values.ravel()[where] = value
    with pytest.raises(CountsError, match=said):
        raw_counts(_adata(sp.csr_matrix(values)))


def test_entries_given_twice_are_summed_in_a_copy() -> None:
    twice = sp.csr_matrix((np.array([1.0, 2.0, 4.0]), np.array([1, 1, 0]), np.array([0, 2, 3])), shape=(2, 2))
    adata = _adata(twice)
    assert raw_counts(adata).toarray().tolist() == [[0, 3], [4, 0]]
    assert raw_counts(adata).nnz == 2
    assert adata.layers["counts"].nnz == 3


def test_a_matrix_in_coordinates_is_refused() -> None:
    with pytest.raises(CountsError, match=r"a COO matrix; expected csr or csc\. .*adata\.X = adata\.X\.tocsr\(\)"):
        _as_csr(_adata(np.ones((2, 2))), "X", sp.coo_matrix(np.ones((2, 2))))
