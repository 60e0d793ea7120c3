"""What histoscribe writes is plain AnnData to scanpy and squidpy."""

import subprocess
import sys
from pathlib import Path

import pytest

import histoscribe as hs

# Runs where histoscribe is not imported: the file alone must do.
READER = """
import sys, warnings
warnings.simplefilter("ignore")
import matplotlib; matplotlib.use("Agg")
import scanpy as sc, squidpy as sq
adata = sc.read_h5ad(sys.argv[1])
sq.gr.nhood_enrichment(adata, cluster_key="domain", seed=0, show_progress_bar=False, n_perms=20)
sq.pl.spatial_scatter(adata, color="domain")
sc.tl.rank_genes_groups(adata, "domain", layer="counts", method="t-test")
sc.pp.neighbors(adata, use_rep="X_fused")
assert "histoscribe" not in sys.modules
print(adata.uns["domain_nhood_enrichment"]["zscore"].shape, adata.obs["domain"].cat.categories.size)
"""


def _run(path: Path) -> str:
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", READER, str(path)], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    return run.stdout


@pytest.mark.weekly
@pytest.mark.parametrize("name", ["toy", "her2st"])
def test_squidpy_and_scanpy_work_on_the_file(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if name == "her2st":
        request.getfixturevalue("data")
    adata = hs.datasets.her2st("C2") if name == "her2st" else hs.datasets.toy()
    hs.pp.tile(adata)
    hs.pp.spatial_graph(adata)
    hs.tl.encode_image(adata, "mean_rgb")
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata, n_comps=20))
    hs.tl.fuse(adata, hs.nn.Contrastive(), train=hs.nn.TrainConfig(epochs=2, val_fraction=0))
    hs.tl.domains_gmm(adata, 4)
    adata.write_h5ad(tmp_path / "section.h5ad")
    assert "(4, 4) 4" in _run(tmp_path / "section.h5ad")
