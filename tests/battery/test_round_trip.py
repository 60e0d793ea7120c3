"""What is written to an AnnData comes back from its files bit for bit."""

import warnings
from pathlib import Path

import anndata as ad
import numpy as np
from anndata import AnnData

from . import material
from .applied import applied
from .call import Call
from .outcome import apart, written


def _alone(call: Call, adata: AnnData) -> AnnData:
    """A section with what the call wrote, and nothing else: files are slow."""
    alone, record = AnnData(obs=adata.obs[[]].copy()), adata.uns["histoscribe"]
    alone.uns["histoscribe"] = {slot: entry for slot, entry in record.items() if entry["by"] == call.name}
    for slot in alone.uns["histoscribe"]:
        where, _, key = slot.partition(".")
        getattr(alone, where)[key] = getattr(adata, where)[key]
    alone.uns.update({key: adata.uns[key] for key in adata.uns if key.endswith("_colors")})
    return alone


def _survive(call: Call, path: Path) -> None:
    adata, kind = material.section(), path.suffix[1:]
    call(adata)
    adata = _alone(call, adata)
    wanted = written(call, adata)
    assert wanted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of zarr's formats
        getattr(adata, f"write_{kind}")(path)
        back = getattr(ad, f"read_{kind}")(path)
    found = written(call, back)
    assert apart(found, wanted).absolute == 0, apart(found, wanted)
    for name, value in wanted.items():
        assert np.asarray(found[name]).dtype.kind == np.asarray(value).dtype.kind, name


@applied("round trip", lambda call: call.writes)
def test_results_survive_h5ad(call: Call, tmp_path: Path) -> None:
    _survive(call, tmp_path / "a.h5ad")


# a sparse matrix, tables, a category: what else is written has types that these have
KINDS = ("pp.spatial_graph", "pp.score_pathways", "tl.domains_gmm")


@applied("round trip", lambda call: call.writes, quick=lambda call: call.name in KINDS)
def test_results_survive_zarr(call: Call, tmp_path: Path) -> None:
    _survive(call, tmp_path / "a.zarr")
