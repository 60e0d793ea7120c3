"""Vectors that the benchmarks compare.

Each is a function that is fitted on training sections and returns a function from a section to vectors (n, d), the form
that the probes take. What is fitted sees the training sections alone; centring takes a section's own mean, which needs
no labels and nothing of other sections.
"""

from collections.abc import Callable

import numpy as np
import scanpy as sc
import scipy.sparse as sp
from anndata import AnnData
from numpy.typing import NDArray
from sklearn.decomposition import PCA

import histoscribe as hs

Vectors = NDArray[np.float64]
Encode = Callable[[AnnData], Vectors]
Fit = Callable[[list[AnnData]], Encode]

N_GENES, N_COMPS, N_TOKENS = 2_000, 30, 1_500


def section(adata: AnnData) -> str:
    """Name of a section."""
    return str(adata.obs["library_id"].iloc[0])


def once(fit: Fit) -> Fit:
    """Fit once for the same training sections, and encode a section once: rings and clusters share the work."""
    encoders: dict[tuple[str, ...], Encode] = {}
    vectors: dict[tuple[tuple[str, ...], str], Vectors] = {}

    def fitted(train: list[AnnData]) -> Encode:
        names = tuple(sorted(map(section, train)))
        if names not in encoders:
            encoders[names] = fit(train)

        def encode(adata: AnnData) -> Vectors:
            key = (names, section(adata))
            if key not in vectors:
                vectors[key] = encoders[names](adata)
            return vectors[key]

        return encode

    return fitted


def slot(name: str) -> Fit:
    """Vectors that are there already, and were made from each spot alone; columns without values are left out."""

    def encode(adata: AnnData) -> Vectors:
        x = np.asarray(adata.obsm[name], dtype=np.float64)
        return x[:, np.isfinite(x).all(axis=0)]

    return lambda _: encode


def coordinates(adata: AnnData) -> Vectors:
    """Position of each spot in mm from the middle of its section."""
    mpp = adata.uns["spatial"][section(adata)]["metadata"]["mpp"]
    mm = adata.obsm["spatial"] * mpp / 1000
    return mm - mm.mean(axis=0)


def random_vectors(seed: int) -> Fit:
    """Numbers that know nothing of a spot."""

    def encode(adata: AnnData) -> Vectors:
        rng = np.random.default_rng([seed, *section(adata).encode()])
        return rng.standard_normal((adata.n_obs, N_COMPS))

    return lambda _: encode


def log_expression(adata: AnnData, genes: list[str] | None = None) -> sp.csr_matrix:
    """log1p of counts per 10,000 (of all genes of the section); a gene that its table lacks was not seen in it."""
    holder = AnnData(adata.layers["counts"].astype(np.float64))
    sc.pp.normalize_total(holder, target_sum=1e4)
    sc.pp.log1p(holder)
    if genes is None:
        return sp.csr_matrix(holder.X)
    at = adata.var_names.get_indexer(genes)
    here = np.flatnonzero(at >= 0)
    pick = sp.csr_matrix((np.ones(len(here)), (at[here], here)), shape=(adata.n_vars, len(genes)))
    return sp.csr_matrix(holder.X @ pick)


_found: dict[tuple[str, ...], list[str]] = {}


def variable_genes(train: list[AnnData], *, by_scanpy: bool = False) -> list[str]:
    """Find the 2,000 genes that vary most within the training sections, as `tl.expression_probe` does, or scanpy's."""
    names = (str(by_scanpy), *sorted(map(section, train)))
    if names not in _found:
        shared = set.intersection(*(set(one.var_names) for one in train))
        genes = [gene for gene in train[0].var_names if gene in shared]
        values = [log_expression(one, genes) for one in train]
        chosen = _by_scanpy(values) if by_scanpy else _by_variance(values)
        _found[names] = [genes[k] for k in chosen]
    return _found[names]


def _by_variance(values: list[sp.csr_matrix]) -> NDArray[np.intp]:
    means = [np.asarray(x.mean(axis=0)).ravel() for x in values]
    squares = [np.asarray(x.multiply(x).mean(axis=0)).ravel() for x in values]
    variance = np.mean([square - mean**2 for mean, square in zip(means, squares, strict=True)], axis=0)
    return np.sort(np.argsort(-variance, kind="stable")[:N_GENES])


def _by_scanpy(values: list[sp.csr_matrix]) -> NDArray[np.intp]:
    stacked = AnnData(sp.csr_matrix(sp.vstack(values)), uns={"log1p": {"base": None}})
    stacked.obs["section"] = np.repeat([str(k) for k in range(len(values))], [x.shape[0] for x in values])
    chosen = sc.pp.highly_variable_genes(stacked, n_top_genes=N_GENES, batch_key="section", inplace=False)
    return np.flatnonzero(chosen["highly_variable"])


def dense(adata: AnnData, genes: list[str], *, centred: bool) -> Vectors:
    """Expression of some genes, less each gene's mean over the section where ``centred``."""
    x = log_expression(adata, genes).toarray()
    return x - x.mean(axis=0) if centred else x


def pca(*, centred: bool, by_scanpy: bool = False) -> Fit:
    """Principal components of variable genes."""

    def fit(train: list[AnnData]) -> Encode:
        genes = variable_genes(train, by_scanpy=by_scanpy)
        model = PCA(N_COMPS, random_state=0).fit(np.vstack([dense(one, genes, centred=centred) for one in train]))
        return lambda adata: model.transform(dense(adata, genes, centred=centred))

    return once(fit)


def tokens(rank: str) -> Fit:
    """Principal components of a spot's first 1,500 tokens, the r-th of them weighted 1 / log2(1 + r)."""

    def fit(train: list[AnnData]) -> Encode:
        vocabulary = hs.pp.fit_vocabulary(train)

        def weights(adata: AnnData) -> sp.csr_matrix:
            found = hs.pp.tokenize_genes(adata, vocabulary, n_tokens=N_TOKENS, rank=rank, copy=True)
            ids = found.obsm["gene_tokens"].astype(np.int64)
            row, place = np.nonzero(ids)
            shape = (adata.n_obs, vocabulary.n_tokens)
            return sp.csr_matrix((1 / np.log2(2 + place), (row, ids[row, place])), shape=shape)

        stacked = sp.csr_matrix(sp.vstack([weights(one) for one in train]))
        model = PCA(N_COMPS, svd_solver="arpack", random_state=0).fit(stacked)
        return lambda adata: model.transform(weights(adata))

    return once(fit)


def rings(adata: AnnData, x: Vectors) -> tuple[Vectors, Vectors]:
    """Means over the first and the second ring of neighbours; a spot without any stands for its own ring."""
    first = (adata.obsp["spatial_connectivities"] > 0).astype(np.float64)
    near = first + sp.eye(adata.n_obs, format="csr")
    reached = sp.csr_matrix(((near @ near) > 0).astype(np.float64))
    second = sp.csr_matrix(reached - (near > 0).astype(np.float64))
    second.eliminate_zeros()
    one, two = (_mean(ring, x) for ring in (first, second))
    return one, two


def _mean(graph: sp.csr_matrix, x: Vectors) -> Vectors:
    n = np.asarray(graph.sum(axis=1)).ravel()
    return np.where(n[:, None] > 0, graph @ x / np.maximum(n, 1)[:, None], x)


def averaged(fit: Fit) -> Fit:
    """Take half of a spot's own vector and half of its first ring's mean."""

    def fitted(train: list[AnnData]) -> Encode:
        encode = fit(train)
        return lambda adata: (encode(adata) + rings(adata, encode(adata))[0]) / 2

    return fitted


def with_rings(fit: Fit) -> Fit:
    """Put the means of the first and second ring beside a spot's own vector."""

    def fitted(train: list[AnnData]) -> Encode:
        encode = fit(train)
        return lambda adata: np.hstack([encode(adata), *rings(adata, encode(adata))])

    return fitted
