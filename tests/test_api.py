"""The conventions of the public face, checked over all of it; and what every function that writes must pass."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs

pytestmark = pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")

PARTS = ("io", "datasets", "pp", "tl", "pl", "metrics")
PUBLIC = [(f"{part}.{name}", getattr(getattr(hs, part), name)) for part in PARTS for name in getattr(hs, part).__all__]
FUNCTIONS = [(name, f) for name, f in PUBLIC if inspect.isfunction(f)]
IDS = [name for name, _ in FUNCTIONS]


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=IDS)
def test_signature_follows_the_conventions(name: str, function: Callable[..., Any]) -> None:
    parameters = inspect.signature(function).parameters
    positional = [p for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    assert len(positional) <= 3
    assert not any(p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL) for p in parameters.values())
    assert all(p.annotation is not p.empty for p in parameters.values())
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty
    assert {"seed", "rng", "key", "embedding"}.isdisjoint(parameters)
    if "random_state" in parameters:
        assert parameters["random_state"].default == 0
    if "copy" in parameters:
        assert parameters["copy"].default is False
        assert "None" in str(function.__annotations__["return"])


@pytest.mark.parametrize(("name", "function"), FUNCTIONS, ids=IDS)
def test_docstring_says_it_all(name: str, function: Callable[..., Any]) -> None:
    doc = inspect.getdoc(function) or ""
    assert "Examples\n--------" in doc
    for parameter in inspect.signature(function).parameters:
        assert f"\n{parameter}\n" in doc or f", {parameter}" in doc or f"{parameter}, " in doc, parameter
    if name.startswith(("pp.", "tl.")) and "copy" in inspect.signature(function).parameters:
        assert "Writes" in doc
        assert "Raises\n------" in doc


def _digest(value: Any) -> str:
    """Hash of everything an AnnData (or a value in it) holds."""
    if isinstance(value, AnnData):
        parts = {"X": value.X, "obs": value.obs, "var": value.var, "uns": dict(value.uns)}
        parts |= {where: dict(getattr(value, where)) for where in ("layers", "obsm", "obsp", "varm")}
        return _digest(parts)
    if isinstance(value, dict):
        return "".join(f"{k}:{_digest(value[k])};" for k in sorted(value))
    if isinstance(value, pd.DataFrame | pd.Series):
        return _digest(value.to_csv()) + str(getattr(value, "dtypes", ""))
    if sp.issparse(value):
        value = value.tocsr()
        return _digest(np.concatenate([value.data, value.indices, value.indptr]))
    if isinstance(value, np.ndarray) and value.dtype != object:
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() + str((value.shape, value.dtype))
    return hashlib.sha256(repr(value).encode()).hexdigest()


@pytest.fixture(scope="module")
def prepared() -> tuple[AnnData, Any, Any, Any]:
    """Return a section that has been through everything, and what was fitted on it."""
    adata = hs.datasets.toy(n_spots=60)
    vocabulary = hs.pp.fit_vocabulary(adata)
    hs.pp.tile(adata)
    hs.pp.spatial_graph(adata)
    hs.tl.encode_image(adata, "mean_rgb")
    pca = hs.tl.fit_pca(adata, n_comps=8)
    hs.tl.encode_genes(adata, pca)
    fused = hs.tl.fuse(adata, hs.nn.Contrastive(), train=hs.nn.TrainConfig(epochs=2, val_fraction=0))
    return adata, vocabulary, pca, fused


WRITERS: dict[str, Callable[..., Any]] = {
    "io.link_image": lambda a, p, **k: hs.io.link_image(a, "hires", **k),
    "pp.align_affine": lambda a, p, **k: hs.pp.align_affine(a, [[0, -2, 900], [2, 0, 5], [0, 0, 1]], **k),
    "pp.tile": lambda a, p, **k: hs.pp.tile(a, **k),
    "pp.tissue_mask": lambda a, p, **k: hs.pp.tissue_mask(a, **k),
    "pp.tokenize_genes": lambda a, p, **k: hs.pp.tokenize_genes(a, p[1], n_tokens=50, **k),
    "pp.score_pathways": lambda a, p, **k: hs.pp.score_pathways(a, p[0].uns["truth"]["gene_sets"], **k),
    "pp.spatial_graph": lambda a, p, **k: hs.pp.spatial_graph(a, **k),
    "tl.encode_image": lambda a, p, **k: hs.tl.encode_image(a, "stain_stats", cache=False, **k),
    "tl.encode_genes": lambda a, p, **k: hs.tl.encode_genes(a, p[2], **k),
    "tl.embed": lambda a, p, **k: hs.tl.embed(a, p[3], **k),
    "tl.domains_leiden": lambda a, p, **k: hs.tl.domains_leiden(a, **k),
    "tl.domains_gmm": lambda a, p, **k: hs.tl.domains_gmm(a, 3, **k),
}
PER_SPOT = (
    "pp.align_affine",
    "pp.tile",
    "pp.tissue_mask",
    "pp.tokenize_genes",
    "pp.score_pathways",
    "tl.encode_image",
    "tl.encode_genes",
    "tl.embed",
)


def test_no_writing_function_is_left_out() -> None:
    assert {name for name, f in FUNCTIONS if "copy" in inspect.signature(f).parameters} == set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_second_run_gives_identical_bytes(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    adata = prepared[0].copy()
    assert WRITERS[name](adata, prepared) is None
    first = _digest(adata)
    WRITERS[name](adata, prepared)
    assert _digest(adata) == first


@pytest.mark.parametrize("name", WRITERS)
def test_copy_leaves_the_original_and_equals_in_place(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    adata = prepared[0].copy()
    before = _digest(adata)
    copied = WRITERS[name](adata, prepared, copy=True)
    assert _digest(adata) == before
    WRITERS[name](adata, prepared)
    assert _digest(copied) == _digest(adata)


LEARNERS: dict[str, Callable[..., Any]] = {
    "pp.fit_vocabulary": lambda a, p: hs.pp.fit_vocabulary(a),
    "pp.fit_pathway_scale": lambda a, p: hs.pp.fit_pathway_scale(a, a.uns["truth"]["gene_sets"]),
    "pp.fit_stain": lambda a, p: hs.pp.fit_stain(a),
    "tl.fit_pca": lambda a, p: hs.tl.fit_pca(a, n_comps=5),
    "tl.fuse": lambda a, p: hs.tl.fuse(
        a, hs.nn.Contrastive(), train=hs.nn.TrainConfig(epochs=1, val_fraction=0), key_added="X_new"
    ),
}


@pytest.mark.parametrize("name", [*WRITERS, *LEARNERS])
def test_what_is_not_written_is_left_alone(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    adata = prepared[0].copy()
    before = {
        w: {k: _digest(v) for k, v in getattr(adata, w).items()} for w in ("layers", "obs", "obsm", "obsp", "uns")
    }
    known = set(adata.uns["histoscribe"])
    ({**WRITERS, **LEARNERS})[name](adata, prepared)
    written = {k for k, v in adata.uns["histoscribe"].items() if k not in known or v["by"] == name}
    for where, digests in before.items():
        for key, digest in digests.items():
            if f"{where}.{key}" not in written | {"uns.histoscribe"}:
                assert _digest(getattr(adata, where)[key]) == digest, (where, key)


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
@pytest.mark.parametrize("name", WRITERS)
def test_view_is_written_and_its_parent_is_not(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    parent = prepared[0].copy()
    before = _digest(parent)
    view, apart = parent[:40], parent[:40].copy()
    for one in (view, apart):
        WRITERS[name](one, prepared)
    assert _digest(parent) == before
    assert _digest(view) == _digest(apart)


@pytest.mark.parametrize("name", PER_SPOT)
def test_order_of_spots_does_not_matter(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    adata = prepared[0].copy()
    order = np.random.default_rng(0).permutation(adata.n_obs)
    shuffled = adata[order].copy()
    for one in (adata, shuffled):
        WRITERS[name](one, prepared)
    for key, value in adata.obsm.items():
        wanted = value.iloc[order] if isinstance(value, pd.DataFrame) else value[order]
        np.testing.assert_allclose(shuffled.obsm[key], wanted, atol=1e-5)


@pytest.mark.parametrize("name", PER_SPOT)
def test_list_of_sections_is_each_of_them(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    both = [prepared[0].copy(), prepared[0][:30].copy()]
    apart = [one.copy() for one in both]
    assert WRITERS[name](both, prepared) is None
    for one in apart:
        WRITERS[name](one, prepared)
    assert [_digest(one) for one in both] == [_digest(one) for one in apart]


@pytest.mark.parametrize("name", WRITERS)
def test_global_state_is_untouched(name: str, prepared: tuple[AnnData, Any, Any, Any]) -> None:
    import random

    import torch

    adata = prepared[0].copy()
    before = (str(np.random.get_state()), random.getstate(), torch.get_rng_state().tolist())  # noqa: NPY002
    WRITERS[name](adata, prepared)
    after = (str(np.random.get_state()), random.getstate(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert before == after
