"""The same counts in other containers."""

from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
from anndata import AnnData


def _unsorted(x: sp.csr_matrix) -> sp.csr_matrix:
    """Columns of each row in falling order."""
    x = x.tocsr().copy()
    for row in range(x.shape[0]):
        own = slice(x.indptr[row], x.indptr[row + 1])
        x.indices[own], x.data[own] = x.indices[own][::-1].copy(), x.data[own][::-1].copy()
    x.has_sorted_indices = False
    return x


def _zeros(x: sp.csr_matrix) -> sp.csr_matrix:
    """Stored zeros wherever the columns are even."""
    dense = x.toarray()
    rows, columns = np.nonzero((dense > 0) | (np.arange(dense.shape[1]) % 2 == 0))
    return sp.csr_matrix((dense[rows, columns], (rows, columns)), shape=dense.shape)


def _twice(x: sp.csr_matrix) -> sp.csr_matrix:
    """Each entry in two parts, which add up to it."""
    x = x.tocsr().copy()
    first = np.floor(x.data / 2)
    data = np.column_stack([first, x.data - first]).ravel().astype(x.dtype)
    return sp.csr_matrix((data, np.repeat(x.indices, 2), 2 * x.indptr), shape=x.shape)


def _long(x: sp.csr_matrix) -> sp.csr_matrix:
    x = x.copy()
    x.indices, x.indptr = x.indices.astype(np.int64), x.indptr.astype(np.int64)
    return x


CONTAINERS: dict[str, Callable[[sp.csr_matrix], object]] = {
    "dense": lambda x: x.toarray(),
    "dense, columns first": lambda x: np.asfortranarray(x.toarray()),
    "dense, not contiguous": lambda x: np.repeat(x.toarray(), 2, axis=1)[:, ::2],
    "csc": lambda x: x.tocsc(),
    "csr_array": sp.csr_array,
    "csc_array": sp.csc_array,
    "indices not sorted": _unsorted,
    "stored zeros": _zeros,
    "entries twice": _twice,
    "64-bit indices": _long,
    "int32": lambda x: x.astype(np.int32),
    "int64": lambda x: x.astype(np.int64),
    "uint16": lambda x: x.astype(np.uint16),
    "float64": lambda x: x.astype(np.float64),
    "dense int64": lambda x: x.toarray().astype(np.int64),
    "read-only": lambda x: frozen(x.copy()),
}


def frozen(x: sp.csr_matrix) -> sp.csr_matrix:
    """The same, and nothing can be written to it."""
    for part in (x.data, x.indices, x.indptr):
        part.flags.writeable = False
    return x


def held_as(adata: AnnData, name: str) -> AnnData:
    """The section with its counts in another container."""
    counts = adata.layers["counts"].tocsr()
    adata.layers["counts"] = CONTAINERS[name](counts)
    adata.X = CONTAINERS[name](counts)
    return adata
