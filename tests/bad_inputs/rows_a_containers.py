"""Rows A3 and A8 to A11: what holds the counts, of which type, and that they stay as they are."""

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anndata
import numpy as np
import scipy.sparse as sp
from anndata import AnnData
from dask.array import from_array

from histoscribe._errors import CountsError, OptionError

from .row import Defined, Elsewhere, Raises, Row, Try
from .sections import halved, many_spots
from .tries import COUNTS, POSITIONS, as_clean, registration, same

_NAMED: Mapping[str, Try] = {**COUNTS, "pp.check_registration": partial(registration, layer="counts")}
_COO = "tests/test_counts.py::test_a_matrix_in_coordinates_is_refused"  # AnnData lets none in since 0.12


def _counts() -> np.ndarray:
    return np.asarray(halved().layers["counts"].toarray())


def _in(make: Callable[[np.ndarray], Any]) -> Callable[[], AnnData]:
    def build() -> AnnData:
        adata = halved()
        adata.layers["counts"] = make(_counts())
        return adata

    return build


def _wrapped() -> AnnData:
    """Row starts as 32-bit integers that have wrapped."""
    adata = halved()
    counts = adata.layers["counts"]
    counts.indptr[30] = -7
    return adata


def _beyond() -> AnnData:
    adata = halved()
    adata.layers["counts"].indices[11] = adata.n_vars
    return adata


@cache
def _folder() -> TemporaryDirectory[str]:
    """Is removed at the end of the process."""
    return TemporaryDirectory(prefix="histoscribe_")


def _backed() -> AnnData:
    path = Path(_folder().name) / "section.h5ad"
    if not path.exists():
        halved().write_h5ad(path)
    return anndata.read_h5ad(path, backed="r")


def _wide(make: Callable[[np.ndarray], Any]) -> Callable[[], AnnData]:
    """So many spots that the image says something of their counts."""

    def build() -> AnnData:
        adata = many_spots()
        adata.layers["counts"] = make(adata.layers["counts"].toarray())
        return adata

    return build


def _as_csr(_: AnnData, found: list[Any]) -> None:
    wanted = registration(many_spots())
    assert len(wanted[1]) > 3
    same(found, wanted)


def twice(call: Try) -> Try:
    def tried(adata: AnnData) -> Any:
        before = adata.X.copy(), adata.layers["counts"].copy()
        first = call(adata)
        same(call(adata), first, tolerance=0)
        for old, new in zip(before, (adata.X, adata.layers["counts"]), strict=True):
            assert (old != new).nnz == 0
            assert old.dtype == new.dtype
        return first

    return tried


def _ambient(adata: AnnData) -> AnnData:
    """Counts less a tenth: fractions, some of them above 20, whose sums differ between spots."""
    adata.layers["counts"] = adata.layers["counts"] * 0.9
    return adata


_CONTAINERS: Mapping[str, Callable[[np.ndarray], Any]] = {
    "a numpy array": np.asarray,
    "a csr array": sp.csr_array,
    "a csc matrix": sp.csc_matrix,
    "a csc array": sp.csc_array,
    "a numpy array by columns": np.asfortranarray,
    "csr with explicit zeros": lambda x: sp.csr_matrix((x.ravel(), _all_columns(x), _all_starts(x)), shape=x.shape),
}
_TYPES = ("int64", "uint16", "float32", "float64", "uint32")


def _all_columns(x: np.ndarray) -> np.ndarray:
    return np.tile(np.arange(x.shape[1]), len(x))


def _all_starts(x: np.ndarray) -> np.ndarray:
    return np.arange(len(x) + 1) * x.shape[1]


def _of_type(dtype: str) -> Callable[[np.ndarray], Any]:
    return lambda x: sp.csr_matrix(x.astype(dtype))


def _seen(x: np.ndarray) -> sp.csr_matrix:
    return sp.csr_matrix(x > 2)


def _bool_rows() -> list[Row | Elsewhere]:
    """Booleans are the counts 0 and 1: the result is that of these numbers."""
    rows: list[Row | Elsewhere] = []
    for name, call in COUNTS.items():

        def check(_: AnnData, found: Any, call: Try = call) -> None:
            same(found, call(_in(lambda x: _seen(x).astype(np.int32))()))

        rows.append(Row("A10", "counts as bool", _in(_seen), {name: call}, Defined("as 0 and 1", check)))
    return rows


def _containers() -> list[Row | Elsewhere]:
    rows: list[Row | Elsewhere] = []
    for given, make in _CONTAINERS.items():
        rows += as_clean("A9", f"counts in {given}", _in(make), COUNTS, says="as with csr")
    registered = Defined("as with csr", _as_csr)
    for given in ("a numpy array", "a csc matrix"):
        tried: dict[str, Try] = {"pp.check_registration": registration}
        rows.append(Row("A9", f"counts in {given}", _wide(_CONTAINERS[given]), tried, registered))
    rows.append(Elsewhere("A9", "counts in a coo matrix", "an error: convert it", (_COO,), raised=True))
    refused: Mapping[str, tuple[Callable[[], AnnData], str, str]] = {
        "a dask array": (_in(from_array), "a dask Array", r"\.compute\(\)"),
        "a masked array": (_in(np.ma.masked_array), "MaskedArray", r"\.filled\(0\)"),
    }
    for given, (build, found, fix) in refused.items():
        rows.append(Row("A9", f"counts in {given}", build, _NAMED, Raises(CountsError, "counts", fix, found)))
    result = Raises(OptionError, "adata", r"adata = adata.to_memory\(\)", "backed")
    rows.append(Row("A9", "an AnnData that is backed by its file", _backed, {**COUNTS, **POSITIONS}, result))
    return rows


def _types() -> list[Row | Elsewhere]:
    rows: list[Row | Elsewhere] = []
    for dtype in _TYPES:
        rows += as_clean("A10", f"counts as {dtype}", _in(_of_type(dtype)), COUNTS, says="as with int32")
    for dtype in ("uint16", "float64"):
        tried: dict[str, Try] = {"pp.check_registration": registration}
        result = Defined("as with int32", _as_csr)
        rows.append(Row("A10", f"counts as {dtype}", _wide(_of_type(dtype)), tried, result))
    for given, make, fix in (
        ("float16", lambda x: x.astype(np.float16), "Use float32"),
        ("complex64", lambda x: x.astype(np.complex64), r"astype\('float32'\)"),
    ):
        refused = Raises(CountsError, "counts", fix, given)
        rows.append(Row("A10", f"counts as {given}", _in(make), _NAMED, refused))
    return rows


def _broken() -> list[Row | Elsewhere]:
    fix = "64-bit indices where it has more than 2.31 values"
    made = {"row starts that have wrapped": (_wrapped, "go back"), "a column index beyond": (_beyond, "outside")}
    return [
        Row("A11", given, build, _NAMED, Raises(CountsError, "counts", fix, f"broken sparse matrix.*{found}"))
        for given, (build, found) in made.items()
    ]


def _fractions() -> list[Row | Elsewhere]:
    says, warns = (
        "with a warning, as of the counts that they are a share of",
        "holds fractions; they are used as counts",
    )
    by_share = {name: call for name, call in COUNTS.items() if "residual" not in name and "scale" not in name}
    given = "corrected counts, which are fractions"
    return [*as_clean("A8", given, lambda: _ambient(halved()), by_share, says=says, warns=warns)]


ROWS: list[Row | Elsewhere] = [
    *as_clean(
        "A3",
        "the same call twice",
        halved,
        {name: twice(call) for name, call in COUNTS.items()},
        says="the same result, and X and the counts untouched",
    ),
    *_fractions(),
    *_containers(),
    *_types(),
    *_bool_rows(),
    *_broken(),
]
