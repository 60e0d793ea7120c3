"""Half a million Visium HD bins on one slide.

500,000 synthetic 8 um bins (18,000 genes, 120 molecules a bin) over a slide of 20,000 x 20,000 px at 0.5 um per pixel (her2st C2,
mirrored until it fills it, JPEG tiles). Each step runs in a process of its own on this CPU; memory is its peak above what it held
when the section was loaded, its output included. Dense features: each tile of a ViT-S/16 with random weights is encoded once and
gives its bins their own patch tokens (`pooling="dense"`, bfloat16). Speed does not depend on the weights.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp
from _slide import MPP, picture, write_slide
from PIL import Image

import histoscribe as hs

SIDE_PX, BIN_UM, N_SIDE = 20_000, 8.0, 708
N_GENES, MOLECULES = 18_000, 120

_STEPS = {
    "fit_vocabulary": "hs.pp.fit_vocabulary(adata)",
    "tokenize_genes, 256 tokens": "hs.pp.tokenize_genes(adata, vocabulary, n_tokens=256)",
    "tokenize_genes, residual rank": 'hs.pp.tokenize_genes(adata, vocabulary, n_tokens=256, rank="residual")',
    "score_pathways, 50 sets, p-values": "hs.pp.score_pathways(adata)",
    "spatial_graph, 6 neighbours": "hs.pp.spatial_graph(adata)",
    "tile": "hs.pp.tile(adata, size_um=8)",
    "encode_image, dense ViT-S/16": 'hs.tl.encode_image(adata, vit, pooling="dense", precision="bf16", cache=False)',
}
# Writing 5 to clear_refs sets the peak back to what is held now.
_AROUND = """
import sys, time, warnings
warnings.simplefilter("ignore")
import anndata as ad, timm, torch
import histoscribe as hs

def held(what):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(what)) / 1024

hs.settings.progress = False
adata = ad.read_h5ad(sys.argv[1] + "/bins.h5ad")
hs.pp.tile(adata[:9].copy(), size_um=8)
vocabulary = None
{before}
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
start, at_first = time.perf_counter(), held("VmRSS")
{step}
print(time.perf_counter() - start, held("VmHWM") - at_first)
"""
_WARM = """
small = adata[:2000].copy()  # compiles
vocabulary = hs.pp.fit_vocabulary(small)
"""
_BEFORE = {
    "tokenize": "vocabulary = hs.pp.fit_vocabulary(adata)\n"
    'for rank in ("mean", "residual"): hs.pp.tokenize_genes(small, vocabulary, n_tokens=9, rank=rank)',
    "score": "hs.pp.score_pathways(small)",
    "spatial": "hs.pp.spatial_graph(small)",
    "encode": "hs.pp.tile(adata, size_um=8)\ntorch.manual_seed(0)\n"
    'vit = timm.create_model("vit_small_patch16_224", pretrained=False, num_classes=0)',
}


def _slide(path: Path, image: Image.Image) -> None:
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    write_slide(path, np.pad(pixels, ((0, SIDE_PX - height), (0, SIDE_PX - width), (0, 0)), mode="symmetric"))


def _bins(path: Path, slide: Path) -> None:
    rng = np.random.default_rng(0)
    known = sorted({gene for genes in hs.datasets.hallmark().values() for gene in genes})
    genes = [*known, *(f"G{k}" for k in range(N_GENES - len(known)))]
    share = rng.permutation(1 / np.arange(1, N_GENES + 1) ** 0.8)
    cumulative = np.cumsum(share / share.sum())
    n, blocks = N_SIDE**2, []
    for start in range(0, n, 50_000):
        rows = min(50_000, n - start)
        drawn = np.minimum(np.searchsorted(cumulative, rng.random(rows * MOLECULES)), N_GENES - 1)
        row = np.repeat(np.arange(rows), MOLECULES)
        ones = np.ones(len(row), dtype=np.float32)
        blocks.append(sp.coo_matrix((ones, (row, drawn)), shape=(rows, N_GENES)).tocsr())
    adata = ad.AnnData(sp.vstack(blocks, format="csr"))
    adata.var_names = genes
    adata.obs_names = [f"b{k}" for k in range(n)]
    step = BIN_UM / MPP
    grid = np.stack(np.meshgrid(np.arange(N_SIDE), np.arange(N_SIDE)), axis=-1).reshape(-1, 2)
    adata.obsm["spatial"] = (grid + 0.5) * step + (SIDE_PX - N_SIDE * step) / 2
    hs.io.link_image(adata, slide, mpp=MPP)
    adata.write_h5ad(path)


def measure() -> pd.DataFrame | None:
    """Return seconds and memory of each step."""
    image = picture()
    if image is None:
        return None
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        _slide(Path(folder) / "slide.tif", image)
        _bins(Path(folder) / "bins.h5ad", Path(folder) / "slide.tif")
        for name, step in _STEPS.items():
            before = _WARM + next((code for word, code in _BEFORE.items() if name.startswith(word)), "")
            command = [sys.executable, "-W", "ignore", "-c", _AROUND.format(before=before, step=step), folder]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            seconds, megabytes = map(float, done.stdout.split()[-2:])
            rows.append((name, f"{seconds:.1f}", f"{N_SIDE**2 / seconds:,.0f}", f"{megabytes:,.0f}"))
    return pd.DataFrame(rows, columns=["step", "seconds", "bins/s", "memory, MB"])
