"""Tissue domains as communities of a neighbour graph."""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check
from .._keys import Keys
from .._need import need
from .._record import AnnDatas, Targets, require
from .._types import check_types
from .._warn import warn
from ._domains import Labels, by_content, check_count, stacked, written
from ._fuzzy_graph import fuzzy_graph

_STEPS = 25
_FEW = 8192
_GRAPH, _LABELS = "connectivities", "leiden"  # scanpy's names
_LOWEST = 1e-3  # resolution at which a connected graph is one domain


def domains_leiden(
    adata: AnnDatas,
    *,
    use_rep: str = Keys.X_FUSED,
    resolution: float = 1.0,
    n_domains: int | None = None,
    spatial_weight: float = 0.0,
    n_neighbors: int = 15,
    random_state: int = 0,
    key_added: str = Keys.DOMAIN,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Find tissue domains by Leiden communities of the neighbour graph of vectors (Traag et al. 2019).

    Sections, in one AnnData or a list, are clustered together: a label means the same in all of them.

    Parameters
    ----------
    adata
        A section, or a list of them.
    use_rep
        Slot with the vectors.
    resolution
        Higher finds more domains; not used with ``n_domains``.
    n_domains
        Number of domains to reach by searching the resolution.
    spatial_weight
        Share of the spatial graph in the graph that is cut, from 0 (vectors alone) to 1 (positions alone).
    n_neighbors
        Neighbours of a spot in the space of vectors.
    random_state
        Seed.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obs["domain"]``, categories ``"0"``, ``"1"``, ... from the largest domain down; missing
    where the vectors are not valid.

    Raises
    ------
    DependencyError
        igraph is not installed; :func:`domains_gmm` works without it.
    MissingError
        No vectors, or no spatial graph for a ``spatial_weight``.
    OptionError
        A value that is not allowed.

    Warns
    -----
    UserWarning
        ``n_domains`` was not reached; the message says how many were.

    Examples
    --------
    >>> hs.tl.domains_leiden(adata, n_domains=6)
    """
    check_types(domains_leiden, locals())
    need("igraph", extra="leiden", instead="Or use hs.tl.domains_gmm, which does without.")
    share, positive = 0 <= spatial_weight <= 1, bool(np.isfinite(resolution)) and resolution > 0
    check("spatial_weight", spatial_weight, share, "a share from 0 to 1", fix="Leave it out for none.")
    check("resolution", resolution, positive, "a positive number", fix="Leave it out for 1.")
    targets = Targets(adata, copy=copy)
    slot = Keys.X_FUSED.renamed(use_rep)
    x, ok = stacked(list(targets), slot)
    for name, value, least in (("n_neighbors", n_neighbors, 2), ("n_domains", n_domains or 1, 1)):
        check_count(name, value, least, len(x))
    order = by_content(x)
    graph = _graph(x[order], min(n_neighbors, len(x) - 1), random_state)
    if spatial_weight > 0:
        graph = mix(graph, _spatial(list(targets), ok)[order][:, order], spatial_weight)
    if n_domains is None:
        labels = _leiden(graph, resolution, random_state)
    else:
        labels, resolution = search(lambda r: _leiden(graph, r, random_state), n_domains)
    labels = labels[np.argsort(order)]
    params = {
        "use_rep": use_rep,
        "resolution": resolution,
        "n_domains": n_domains,
        "spatial_weight": spatial_weight,
        "n_neighbors": n_neighbors,
        "random_state": random_state,
    }
    inputs = [slot, Keys.CONNECTIVITIES] if spatial_weight > 0 else [slot]
    return written(targets, labels, ok, key_added, by="tl.domains_leiden", params=params, inputs=inputs)


def _graph(x: NDArray[np.float64], n_neighbors: int, random_state: int) -> sp.csr_matrix:
    if len(x) < _FEW:  # scanpy takes exact neighbours, too, and ours are there without its 4 to 18 s of compilation
        return fuzzy_graph(x, n_neighbors)
    import scanpy as sc

    holder = AnnData(obs=pd.DataFrame(index=[str(i) for i in range(len(x))]), obsm={"x": x})
    sc.pp.neighbors(holder, n_neighbors=n_neighbors, use_rep="x", random_state=random_state)
    return holder.obsp[_GRAPH]


def _spatial(adatas: Sequence[AnnData], ok: NDArray[np.bool_]) -> sp.csr_matrix:
    """Spatial graphs of all sections side by side: no edge crosses them."""
    graph = sp.block_diag([require(one, Keys.CONNECTIVITIES) for one in adatas], format="csr")
    return graph[ok][:, ok]


def mix(features: sp.csr_matrix, spatial: sp.csr_matrix, weight: float) -> sp.csr_matrix:
    """Sum of two graphs, each scaled to the same total weight so that ``weight`` means a share."""

    def unit(graph: sp.csr_matrix) -> sp.csr_matrix:
        return graph * (graph.shape[0] / max(float(graph.sum()), 1e-12))

    return sp.csr_matrix((1 - weight) * unit(features) + weight * unit(spatial))


def _leiden(graph: sp.csr_matrix, resolution: float, random_state: int) -> Labels:
    import scanpy as sc

    holder = AnnData(obs=pd.DataFrame(index=[str(i) for i in range(graph.shape[0])]))
    sc.tl.leiden(
        holder,
        resolution=resolution,
        random_state=random_state,
        adjacency=graph,
        directed=False,
        flavor="igraph",
        n_iterations=2,
        key_added=_LABELS,
    )
    return holder.obs[_LABELS].astype(int).to_numpy()


def search(cluster: Callable[[float], Labels], n_domains: int) -> tuple[Labels, float]:
    """Bisect the resolution for a number of domains; the closest labelling seen, with a warning if it is not exact."""
    low, resolution = _LOWEST, 1.0
    high: float | None = None
    tried: list[tuple[int, float, Labels]] = []
    for _ in range(_STEPS):
        labels = cluster(resolution)
        n = len(np.unique(labels))
        if n == n_domains:
            return labels, resolution
        tried.append((n, resolution, labels))
        low, high = (resolution, high) if n < n_domains else (low, resolution)
        resolution = 4 * low if high is None else float(np.sqrt(low * high))
    n, resolution, labels = min(tried, key=lambda one: abs(one[0] - n_domains))
    msg = f"n_domains={n_domains} was not reached: the closest is {n}, at resolution {resolution:.3g}"
    warn(msg)
    return labels, resolution
