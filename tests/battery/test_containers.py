"""Counts may come in any container and number type; what can't be read right is refused."""

from pathlib import Path

import anndata as ad
import pytest

from histoscribe._errors import HistoscribeError

from . import material
from .applied import applied
from .call import Call
from .containers import CONTAINERS, held_as
from .outcome import apart, outcome


def _counts(call: Call) -> bool:
    return "counts" in call.reads


@applied("containers", _counts)
def test_every_container_gives_the_same(call: Call) -> None:
    wanted = outcome(call, material.section())
    slow = call.hands_on or call.returns == "figure"  # they do not compute with counts: a few containers tell
    for name in list(CONTAINERS)[:: 5 if slow else 1]:
        found = outcome(call, held_as(material.section(), name))
        one = apart(found, wanted)
        assert one.absolute == 0 or one.relative < 1e-6, (name, one)


def test_coo_never_reaches_us() -> None:
    adata = material.section()
    coo = adata.layers["counts"].tocoo()
    with pytest.raises(ValueError, match="CSR and CSC"):
        adata.layers["counts"] = coo
    with pytest.raises(ValueError, match="CSR and CSC"):
        ad.AnnData(coo)


@applied("backed", lambda call: call.section is not None)
def test_backed_is_refused_where_it_matters(call: Call, tmp_path: Path) -> None:
    material.section().write_h5ad(tmp_path / "a.h5ad")
    adata = ad.read_h5ad(tmp_path / "a.h5ad", backed="r")
    try:
        if {"counts", "vectors", "positions"}.isdisjoint(
            call.reads
        ) and not call.writes:  # images are in memory, or files
            assert apart(outcome(call, adata), outcome(call, material.section())).absolute == 0
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
    wanted = outcome(call, material.section())
    try:
        found = outcome(call, adata)
    except HistoscribeError as error:
        refused = error.fix
    else:
        assert apart(found, wanted).absolute == 0
        return
    assert "compute" in refused or "to_memory" in refused
