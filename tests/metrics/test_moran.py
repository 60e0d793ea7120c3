from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from histoscribe._errors import OptionError
from histoscribe.metrics import moran_agreement, morans_i


def _grid(side: int = 12) -> tuple[Any, sp.csr_matrix]:
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2).astype(float)
    return xy, sp.csr_matrix((cdist(xy, xy) == 1).astype(float))


def _maps(xy: Any, rng: np.random.Generator) -> Any:
    """Columns from rough to smooth, far from 0, with zeros."""
    smooth = np.sin(xy[:, :1] / 3) + np.cos(xy[:, 1:] / 4)
    x = 3 + smooth * np.linspace(0, 2, 6) + rng.normal(size=(len(xy), 6))
    return x * (x > 2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize("weighted", [False, True])
def test_it_is_squidpys(form: Any, weighted: bool) -> None:
    import squidpy as sq

    rng = np.random.default_rng(0)
    xy, graph = _grid()
    x = _maps(xy, rng)
    if weighted:
        graph.data = rng.random(len(graph.data)) + 0.1
    graph[3], graph[:, 3] = 0, 0  # a spot without neighbours
    graph.eliminate_zeros()
    adata = AnnData(x, obsp={"spatial_connectivities": graph}, uns={"spatial_neighbors": {}})
    reference = sq.gr.spatial_autocorr(adata, mode="moran", n_perms=None, copy=True)["I"]
    found = morans_i(form(x), graph)
    np.testing.assert_allclose(found, reference.loc[adata.var_names], rtol=1e-5)
    assert found.iloc[-1] > 0.3 > abs(found.iloc[0])


def test_formula_on_a_chain_of_three() -> None:
    chain = sp.csr_matrix(np.array([[0, 1.0, 0], [1, 0, 1], [0, 1, 0]]))
    # z = (-1, 0, 1); rows of the weights sum to 1; the sum of w z z is 0.
    assert morans_i([1.0, 2.0, 3.0], chain).tolist() == [0.0]
    # z = (2, -1, -1) / 3: w z z = 2 * -1 + -1 * (2 - 1) / 2 + -1 * -1 over 9, z z = 6 / 9.
    assert morans_i([1.0, 0.0, 0.0], chain)[0] == pytest.approx((-2 - 0.5 + 1) / 6)


def test_columns_are_named_and_constant_ones_have_none() -> None:
    xy, graph = _grid(4)
    frame = pd.DataFrame({"x": xy[:, 0], "same": 0.1, "missing": np.nan})
    found = morans_i(frame, graph)
    assert list(found.index) == ["x", "same", "missing"]
    assert found["x"] > 0.5
    assert found[["same", "missing"]].isna().all()
    assert np.isnan(morans_i(sp.csr_matrix(frame.to_numpy()[:, :2]), graph)[1])


def test_agreement_ranks_genes_and_tells_smoother_from_rougher() -> None:
    rng = np.random.default_rng(1)
    xy, graph = _grid()
    truth = _maps(xy, rng)
    step = sp.diags(1 / np.asarray(graph.sum(axis=1)).ravel()) @ graph
    found = moran_agreement(step @ truth, truth, graph)
    a, b = morans_i(step @ truth, graph), morans_i(truth, graph)
    assert found["spearman"] == pytest.approx(spearmanr(a, b)[0])
    assert found["difference"] == pytest.approx((a - b).mean())
    assert found["difference"] > 0.1
    truth[:, 0] = 1
    assert moran_agreement(truth, truth, graph) == {"spearman": pytest.approx(1), "difference": 0, "n_genes": 5}
    nothing = moran_agreement(np.ones_like(truth), truth, graph)
    assert nothing["n_genes"] == 0
    assert np.isnan(nothing["spearman"])


@pytest.mark.parametrize(
    ("values", "graph", "says"),
    [
        (np.ones(3), np.ones((3, 3)), "graph: found ndarray"),
        (np.ones(4), sp.eye(3, format="csr"), r"expected a sparse matrix \(4, 4\)"),
        (np.ones(3), sp.csr_matrix((3, 3)), "no edges"),
        ([1.0, np.nan, 2.0], sp.eye(3, format="csr"), "values: found NaN"),
    ],
)
def test_what_does_not_fit_is_refused(values: Any, graph: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        morans_i(values, graph)
