"""Every public function has its entry, and the entry says what is true."""

import inspect

import matplotlib.pyplot as plt
import pandas as pd
from anndata import AnnData
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..digest import digest
from . import material
from .applied import applied, every
from .call import Call, public
from .calls import CALLS
from .expected import EXPECTED


def test_every_public_function_has_an_entry() -> None:
    assert set(public()) == set(CALLS)


def test_expected_failures_are_of_functions_that_are_there() -> None:
    assert {name for names in EXPECTED.values() for name in names} <= set(CALLS)
    assert all(len(reason) > 20 for names in EXPECTED.values() for reason in names.values())


@applied("entry", quick=every)
def test_entry_is_true(call: Call) -> None:
    adata = material.section()
    given = call.arguments(adata)
    assert set(given) <= set(call.parameters)
    before = digest(adata)
    returned = call.function(**given)
    assert (digest(adata) != before) <= call.writes, "it writes"
    if call.copies:
        assert call.writes
        assert call.returns == "nothing"
    kinds = {
        "nothing": returned is None,
        "table": isinstance(returned, pd.DataFrame | pd.Series),
        "numbers": isinstance(returned, float | dict),
        "arrays": hasattr(returned, "shape") or isinstance(returned, tuple),
        "figure": isinstance(returned, Figure | Axes),
        "section": isinstance(returned, AnnData),
        "object": returned is not None,
    }
    assert kinds[call.returns], type(returned)
    if "random_state" in call.parameters and not inspect.isclass(call.function):
        assert call.draws or call.name == "pp.score_pathways"  # draws for method="waggr" alone
    plt.close("all")
