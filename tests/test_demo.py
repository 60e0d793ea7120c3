"""The demo runs from end to end on a real section, without a network and without data beside it."""

from pathlib import Path

import anndata
import pandas as pd
import pytest

import histoscribe

from .without_network import run

DEMO = Path(histoscribe.__file__).parents[1] / "scripts" / "demo.py"


@pytest.mark.smoke
@pytest.mark.weekly
@pytest.mark.skipif(not DEMO.is_file(), reason="runs in a checkout only")
def test_demo_runs_offline_on_the_section_in_the_package(tmp_path: Path) -> None:
    away = {"HISTOSCRIBE_DATA": None, "HISTOSCRIBE_CACHE": str(tmp_path / "cache"), "MPLBACKEND": "Agg"}
    done = run([str(DEMO), str(tmp_path / "out")], changes=away, timeout=600)
    assert done.code == 0, done.err[-2000:]
    numbers = pd.read_csv(tmp_path / "out" / "numbers.tsv", sep="\t").set_index("what")["value"]
    assert numbers["spots"] == 379
    assert numbers["domains"] == 6
    assert numbers["recall at 10, image to its genes"] > 2 * numbers["the same by chance"]
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
    adata = anndata.read_h5ad(tmp_path / "out" / "section.h5ad")
    assert {"X_fused", "gene_tokens", "score_pathways", "tiles"} <= set(adata.obsm)
