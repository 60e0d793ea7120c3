"""One spot, two spots, one gene, none at all: a result that is defined, or an error that says what is lacking."""

import warnings

import numpy as np
import pytest
from anndata import AnnData

from histoscribe._errors import HistoscribeError

from . import material
from .applied import applied
from .call import Call
from .outcome import apart, outcome, rows_of, usual

CUTS = {
    "one spot": lambda a: a[[7]],
    "two spots": lambda a: a[[7, 30]],
    "one gene": lambda a: a[:, [3]],
    "no genes": lambda a: a[:, []],
}


def _cut(name: str) -> AnnData:
    adata: AnnData = CUTS[name](material.section()).copy()
    if adata.n_vars == 1:
        adata.var_names = ["TOY0003"]
    return adata


def _defined_or_refused(call: Call, cut: str, rows: list[int] | None = None) -> None:
    adata = _cut(cut)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # few genes, few spots
        try:
            found = outcome(call, adata)
        except HistoscribeError:
            return
        if call.per_spot and call.name != "pp.spatial_graph" and rows is not None:
            wanted = rows_of(usual(call), np.array(rows))
            assert apart(found, wanted).relative < 1e-5, apart(found, wanted)
    for name, value in found.items():
        if name.startswith("obsm.X_"):
            assert np.isfinite(np.asarray(value, dtype=float)).all(), name


@pytest.mark.parametrize(("cut", "rows"), [("one spot", [7]), ("two spots", [7, 30])], ids=("one", "two"))
@applied("few spots", lambda call: call.section is not None)
def test_few_spots_are_defined_or_refused(call: Call, cut: str, rows: list[int]) -> None:
    _defined_or_refused(call, cut, rows)


@pytest.mark.parametrize("cut", ["one gene", "no genes"])
@applied(
    "few genes", lambda call: call.section is not None, quick=lambda call: not call.slow and "counts" in call.reads
)
def test_few_genes_are_defined_or_refused(call: Call, cut: str) -> None:
    _defined_or_refused(call, cut)


@applied("no spots", lambda call: call.section is not None)
def test_no_spots_are_refused(call: Call) -> None:
    empty = material.section()[:0].copy()
    with pytest.raises(HistoscribeError, match="0 observations"):
        call(empty)
