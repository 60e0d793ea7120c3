"""The order of spots and of genes says nothing: results follow it, or do not change."""

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

from . import material
from .applied import applied
from .call import Call
from .outcome import apart, essence, outcome, rows_of, usual, usual_essence

_TOLERANCE = 1e-5  # of the spread: sums in another order


def _with_strangers(adata: AnnData) -> AnnData:
    """The section with ten more genes, which nobody knows, between the others, and in another order."""
    import anndata

    rng = np.random.default_rng(1)
    names = [f"stranger{k}" for k in range(10)]
    counts = sp.csr_matrix(np.zeros((adata.n_obs, 10), dtype=np.float32))
    more = AnnData(counts, obs=adata.obs[[]].copy(), layers={"counts": counts.copy()})
    more.var_names = names
    both = anndata.concat([adata, more], axis=1, merge="first", uns_merge="first")
    both.obsp.update(adata.obsp)
    return both[:, rng.permutation(both.n_vars)].copy()


@applied("order of spots", lambda call: call.section is not None and call.returns != "figure" and not call.hands_on)
def test_results_follow_the_order_of_spots(call: Call) -> None:
    adata = material.section()
    order = np.random.default_rng(0).permutation(adata.n_obs)
    shuffled = adata[order].copy()
    found = outcome(call, shuffled) if call.per_spot else essence(call, shuffled)
    one = apart(found, rows_of(usual(call) if call.per_spot else usual_essence(call), order))
    assert one.relative < _TOLERANCE, one


@applied("order of genes", lambda call: "counts" in call.reads and not call.hands_on)
def test_order_of_genes_does_not_matter(call: Call) -> None:
    adata = material.section()
    shuffled = adata[:, np.random.default_rng(0).permutation(adata.n_vars)].copy()
    one = apart(essence(call, shuffled), usual_essence(call))
    assert one.relative < _TOLERANCE, one


@applied("more genes", lambda call: "counts" in call.reads and not call.learns and not call.hands_on)
def test_genes_that_nobody_asked_for_do_not_matter(call: Call) -> None:
    one = apart(essence(call, _with_strangers(material.section())), usual_essence(call))
    assert one.relative < _TOLERANCE, one
