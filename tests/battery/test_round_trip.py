"""What is written to an AnnData comes back from its files bit for bit."""

import warnings
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
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


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
@applied("round trip", lambda call: call.writes)
def test_results_survive_files(call: Call, kind: str, tmp_path: Path) -> None:
    adata = material.section()
    call(adata)
    adata = _alone(call, adata)
    wanted = written(call, adata)
    assert wanted
    path = tmp_path / f"a.{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of zarr's formats
        getattr(adata, f"write_{kind}")(path)
        back = getattr(ad, f"read_{kind}")(path)
    found = written(call, back)
    assert apart(found, wanted).absolute == 0, apart(found, wanted)
    for name, value in wanted.items():
        assert np.asarray(found[name]).dtype.kind == np.asarray(value).dtype.kind, name
