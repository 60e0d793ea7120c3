"""A view gives what a section of its own gives, and its parent stays as it is."""

import warnings

import numpy as np
import pytest

from ..digest import digest
from . import material
from .applied import applied
from .call import Call
from .outcome import apart, outcome


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
@applied("views", lambda call: call.section is not None)
def test_view_gives_the_same_and_leaves_its_parent(call: Call) -> None:
    parent = material.section()
    rows = np.arange(0, 60, dtype=int)[::-1][:50]
    before = digest(parent)
    view, own = parent[rows], parent[rows].copy()
    found, wanted = outcome(call, view), outcome(call, own)
    assert digest(parent) == before
    found |= {name: value for name, value in wanted.items() if name.endswith("_colors") and name not in found}
    assert apart(found, wanted).absolute == 0, apart(found, wanted)  # plots keep no colours on views


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
@applied("views of genes", lambda call: "counts" in call.reads)
def test_view_of_genes_is_a_section_of_these_genes(call: Call) -> None:
    parent = material.section()
    columns = np.delete(np.arange(parent.n_vars), [20, 50, 80])[::-1]
    before = digest(parent)
    view, own = parent[:, columns], parent[:, columns].copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of genes that a model misses
        found, wanted = outcome(call, view), outcome(call, own)
    assert digest(parent) == before
    found |= {name: value for name, value in wanted.items() if name.endswith("_colors") and name not in found}
    assert apart(found, wanted).absolute == 0
