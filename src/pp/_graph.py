"""The neighbour graph of spots, in micrometres and never across sections."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from .._errors import OptionError
from .._keys import Keys
from .._record import AnnDatas, Targets, write
from .._sections import check_placed, positions_um, sections
from .._types import check_types
from .._units import n_doubled
from .._warn import warn


def spatial_graph(
    adata: AnnDatas,
    *,
    n_neighbors: int = 6,
    radius_um: float | None = None,
    library_key: str = Keys.LIBRARY_ID,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Connect each spot with its neighbours, by squidpy, so that squidpy's functions work on the result.

    Parameters
    ----------
    adata
        A section, or a list of them.
    n_neighbors
        Nearest neighbours of a spot; an edge is kept if either end has it, so a spot may get more.
    radius_um
        Connect all spots within this distance instead, um.
    library_key
        Column of ``obs`` that says the section of a spot. No edge joins two sections.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsp["spatial_connectivities"]`` (0 or 1) and ``obsp["spatial_distances"]`` (um), both
    symmetric CSR, and ``uns["spatial_neighbors"]``.

    Raises
    ------
    ScaleError
        A section's um per pixel are not known.
    OptionError
        Spots without a position, or a section with fewer spots than ``n_neighbors + 1``.

    Warns
    -----
    UserWarning
        Spots of a section lie at the same place: they are neighbours, 0 um apart.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.spatial_graph(adata)
    >>> sq.gr.nhood_enrichment(adata, cluster_key="true_domain")
    """
    check_types(spatial_graph, locals())
    targets = Targets(adata, copy=copy)
    graphs = [_section_graph(one, n_neighbors, radius_um, library_key) for one in targets]
    params = {"n_neighbors": n_neighbors, "radius_um": radius_um, "library_key": library_key}
    for one, (connectivities, distances) in zip(targets, graphs, strict=True):
        outputs = {
            Keys.CONNECTIVITIES: connectivities,
            Keys.DISTANCES: distances,
            Keys.NEIGHBORS: {
                "connectivities_key": str(Keys.CONNECTIVITIES),
                "distances_key": str(Keys.DISTANCES),
                "params": {"n_neighbors": n_neighbors, "radius_um": radius_um, "coord_type": "generic", "unit": "um"},
            },
        }
        write(one, outputs, by="pp.spatial_graph", params=params, inputs=[Keys.SPATIAL])
    return targets.result()


def _section_graph(
    adata: AnnData, n_neighbors: int, radius_um: float | None, library_key: str
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    xy = positions_um(adata, library_key)
    groups = sections(adata, library_key)
    _check(xy, groups, n_neighbors, radius_um)
    _warn_of_same_places(xy, groups)
    labels = np.empty(adata.n_obs, dtype=object)
    for name, rows in groups.items():
        labels[rows] = name
    return symmetric_graph(xy, pd.Categorical(labels), n_neighbors, radius_um)


def _check(xy: np.ndarray, groups: dict[str, Any], n_neighbors: int, radius_um: float | None) -> None:
    check_placed(xy)
    if radius_um is not None:
        if not radius_um > 0:
            raise OptionError("radius_um", found=repr(radius_um), expected="a length in um", fix="Leave it out.")
        return
    smallest = min(groups, key=lambda name: len(groups[name]))
    n = len(groups[smallest])
    if n < 2:
        fix = "Leave this section out."
        raise OptionError(f"section {smallest!r}", found=f"{n} spot", expected="2 or more, to be neighbours", fix=fix)
    if not 1 <= n_neighbors < n:
        expected = f"1 to {n - 1}, as section {smallest!r} has {n} spots"
        raise OptionError("n_neighbors", found=str(n_neighbors), expected=expected, fix="Ask for fewer.")


def _warn_of_same_places(xy: np.ndarray, groups: dict[str, Any]) -> None:
    """Warn of spots at the place of another one: a section that is there twice, or two that nobody told apart."""
    for name, rows in groups.items():
        again = n_doubled(xy[rows])
        if again:
            msg = f"{again} spots of section {name!r} lie at the place of another one; is it one section?"
            warn(msg)


def symmetric_graph(
    xy: np.ndarray, section: pd.Categorical, n_neighbors: int, radius_um: float | None
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return connectivities and distances (n, n) of positions (n, 2), within sections; squidpy's graph made symmetric."""
    order = np.lexsort((xy[:, 1], xy[:, 0]))  # of neighbours at one distance the place decides, not the row
    obs = pd.DataFrame({"section": section[order]}, index=np.arange(len(xy)).astype(str))
    distances = _squidpy_distances(AnnData(obs=obs, obsm={"xy": xy[order]}), n_neighbors, radius_um)
    back = np.argsort(order)
    distances = distances[back][:, back]
    distances = sp.csr_matrix(distances.maximum(distances.T))
    distances.sort_indices()
    connectivities = distances.copy()
    connectivities.data = np.ones_like(connectivities.data)
    return connectivities, distances


def _squidpy_distances(shadow: AnnData, n_neighbors: int, radius_um: float | None) -> sp.csr_matrix:
    options: dict[str, Any] = {"spatial_key": "xy", "library_key": "section", "copy": True}
    with _quiet():
        import squidpy as sq

        if not hasattr(sq.gr, "spatial_neighbors_knn"):  # 1.8.0
            reach = {"n_neighs": n_neighbors} if radius_um is None else {"radius": radius_um}
            result = sq.gr.spatial_neighbors(shadow, coord_type="generic", **reach, **options)
        elif radius_um is None:
            result = sq.gr.spatial_neighbors_knn(shadow, n_neighs=n_neighbors, **options)
        else:
            result = sq.gr.spatial_neighbors_radius(shadow, radius=radius_um, **options)
    return _with_edges_of_no_length(*(sp.csr_matrix(one, dtype=np.float64) for one in result[:2]))


def _with_edges_of_no_length(connectivities: sp.csr_matrix, distances: sp.csr_matrix) -> sp.csr_matrix:
    """Distances, with the edges between spots at one place: a sparse matrix drops their 0, so they get the least length."""
    lost = connectivities - distances.sign()
    lost.setdiag(0)
    return sp.csr_matrix(distances + lost * np.finfo(np.float64).tiny)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out what squidpy says at import and at every call."""
    logger = logging.getLogger("spatialdata._logging")  # the one that squidpy uses
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import_module("spatialdata._logging")  # sets its level when imported
        level = logger.level
        try:
            logger.setLevel(logging.WARNING)
            yield
        finally:
            logger.setLevel(level)
