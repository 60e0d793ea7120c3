"""The demo runs from end to end without a network, on what there is."""

from pathlib import Path

import anndata
import pandas as pd
import pytest

import histoscribe

from .without_network import run

DEMO = Path(histoscribe.__file__).parents[1] / "scripts" / "demo.py"


@pytest.mark.skipif(not DEMO.is_file(), reason="runs in a checkout only")
def test_demo_falls_back_to_the_toy_offline_and_says_so(tmp_path: Path) -> None:
    away = {"HISTOSCRIBE_DATA": None, "HISTOSCRIBE_CACHE": str(tmp_path / "cache"), "MPLBACKEND": "Agg"}
    done = run([str(DEMO), str(tmp_path / "out")], changes=away, timeout=600)
    assert done.code == 0, done.err[-2000:]
    assert "her2st C2: not here" in done.err
    assert "on toy (planted truth)" in done.out
    numbers = pd.read_csv(tmp_path / "out" / "numbers.tsv", sep="\t").set_index("what")["value"]
    assert numbers["spots"] == 400
    assert numbers["recall at 10, image to its genes"] > numbers["the same by chance"]
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
    adata = anndata.read_h5ad(tmp_path / "out" / "section.h5ad")
    assert {"X_fused", "gene_tokens", "score_pathways", "tiles"} <= set(adata.obsm)
