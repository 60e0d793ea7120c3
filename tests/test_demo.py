"""The demo runs from end to end, on what there is."""

import os
import subprocess
import sys
from pathlib import Path

import anndata
import pandas as pd
import pytest

import histoscribe

DEMO = Path(histoscribe.__file__).parents[1] / "scripts" / "demo.py"


@pytest.mark.skipif(not DEMO.is_file(), reason="runs in a checkout only")
def test_demo_falls_back_to_the_toy_offline_and_says_so(tmp_path: Path) -> None:
    away = {"HISTOSCRIBE_OFFLINE": "1", "HISTOSCRIBE_DATA": "", "HISTOSCRIBE_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-W", "ignore", str(DEMO), str(tmp_path / "out")]
    run = subprocess.run(command, env={**os.environ, **away}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert "her2st C2: not here" in run.stderr
    assert "on toy (planted truth)" in run.stdout
    numbers = pd.read_csv(tmp_path / "out" / "numbers.tsv", sep="\t").set_index("what")["value"]
    assert numbers["spots"] == 400
    assert numbers["recall at 10, image to its genes"] > numbers["the same by chance"]
    assert (tmp_path / "out" / "figure.png").stat().st_size > 10_000
    adata = anndata.read_h5ad(tmp_path / "out" / "section.h5ad")
    assert {"X_fused", "gene_tokens", "score_pathways", "tiles"} <= set(adata.obsm)
