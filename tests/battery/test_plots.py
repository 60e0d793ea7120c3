"""Plots: what they return, what they keep, and that a hundred of them leave nothing behind."""

import gc

import matplotlib.pyplot as plt
import pytest
from matplotlib.figure import Figure

from ..digest import digest
from ..marks import weekly
from . import material
from .applied import applied
from .call import Call


def _alive() -> int:
    gc.collect()
    return sum(
        issubclass(type(one), Figure) for one in gc.get_objects()
    )  # isinstance asks weak proxies, also dead ones


@pytest.mark.parametrize("n", [5, *weekly(100)])
@applied("figures", lambda call: call.returns == "figure")
def test_figures_that_are_closed_leave_nothing(call: Call, n: int) -> None:
    adata = material.section()[:12].copy()
    before = _alive()
    for _ in range(n):
        call(adata)
        assert len(plt.get_fignums()) == 1
        plt.close("all")
    assert _alive() <= before + 1  # matplotlib keeps the last one


@applied("colours", lambda call: call.returns == "figure" and call.section is not None)
def test_nothing_but_colours_is_kept(call: Call) -> None:
    adata = material.section()
    call(adata)
    kept = [key for key in adata.uns if key.endswith("_colors")]
    assert kept == (["domain_colors"] if call.writes else [])
    for key in kept:
        del adata.uns[key]
    assert digest(adata) == digest(material.section())


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
@applied("figures of views", lambda call: call.returns == "figure" and call.section is not None)
def test_a_view_stays_a_view(call: Call) -> None:
    view = material.section()[:30]
    call(view)
    assert view.is_view
