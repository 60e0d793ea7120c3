"""Counts may come in any container and number type; what can't be read right is refused."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import anndata as ad
import pytest

from histoscribe._errors import HistoscribeError

from . import material
from .applied import applied
from .call import Call
from .containers import CONTAINERS, held_as
from .outcome import apart, outcome, usual

# All functions take counts from one reader: on one of them all containers are tried, on the others a few.
DIRECT = "tl.encode_genes"
FEW = ("dense", "csc_array", "entries twice")


def _counts(call: Call) -> bool:
    return "counts" in call.reads


def _compare(call: Call, containers: Iterable[str]) -> None:
    for name in containers:
        one = apart(outcome(call, held_as(material.section(), name)), usual(call))
        assert one.absolute == 0 or one.relative < 1e-6, (name, one)


@applied("containers", _counts)
def test_some_containers_give_the_same(call: Call) -> None:
    _compare(call, CONTAINERS if call.name == DIRECT else FEW)


@applied("containers", _counts, quick=lambda call: False)
def test_every_container_gives_the_same(call: Call) -> None:
    no_sums = call.hands_on or call.returns == "figure"  # they do not compute with counts: a few containers tell
    _compare(call, list(CONTAINERS)[:: 5 if no_sums else 1])


def test_coo_never_reaches_us() -> None:
    adata = material.section()
    coo = adata.layers["counts"].tocoo()
    with pytest.raises(ValueError, match="CSR and CSC"):
        adata.layers["counts"] = coo
    with pytest.raises(ValueError, match="CSR and CSC"):
        ad.AnnData(coo)


@cache
def _file() -> Path:
    adata, path = material.section(), material.folder() / "backed.h5ad"
    del adata.uns["histoscribe"], adata.uns["registration"], adata.uns["truth"]  # many small parts of a file
    adata.write_h5ad(path)
    return path


@applied("backed", lambda call: call.section is not None)
def test_backed_is_refused_where_it_matters(call: Call) -> None:
    adata = ad.read_h5ad(_file(), backed="r")
    try:
        if {"counts", "vectors", "positions"}.isdisjoint(
            call.reads
        ) and not call.writes:  # images are in memory, or files
            assert apart(outcome(call, adata), usual(call)).absolute == 0
        else:
            with pytest.raises(HistoscribeError, match=r"to_memory"):
                call(adata)
    finally:
        adata.file.close()


@applied("dask", _counts)
def test_dask_is_right_or_refused(call: Call) -> None:
    array = pytest.importorskip("dask.array")
    adata = material.section()
    adata.layers["counts"] = array.from_array(adata.layers["counts"].toarray(), chunks=(20, 200))
    adata.X = adata.layers["counts"]
    try:
        found = outcome(call, adata)
    except HistoscribeError as error:
        refused = error.fix
    else:
        assert apart(found, usual(call)).absolute == 0
        return
    assert "compute" in refused or "to_memory" in refused
