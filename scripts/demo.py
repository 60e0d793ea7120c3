"""From counts and H&E to domains and a map, on the section in the package: writes an h5ad, a figure and a table into demo/.

Usage: python scripts/demo.py [FOLDER]
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from anndata import AnnData

import histoscribe as hs

mpl.use("Agg")

# Layer markers of the olfactory bulb, from the literature.
LAYERS = {
    "nerve": ["Npy", "Apod", "Ptgds", "S100a5", "Fabp7", "Kctd12"],
    "glomerular": ["Cck", "Calb2", "Doc2g", "Reln", "Nmb", "Apoe"],
    "mitral": ["Cdhr1", "Slc17a7", "Uchl1", "Nefl", "Thy1", "Snap25"],
    "granule": ["Penk", "Pcp4", "Meis2", "Gng4", "Synpr", "Nrgn"],
}


class Times(dict[str, float]):
    """Seconds of each step, in order."""

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step and say so."""
        start = time.perf_counter()
        yield
        self[name] = time.perf_counter() - start
        print(f"  {name:<32}{self[name]:7.1f} s", flush=True)


def run(adata: AnnData, times: Times) -> dict[str, float]:
    """Do the whole path and return the numbers that say how it went."""
    with times.step("tiles"):
        hs.pp.tile(adata)
    with times.step("gene tokens"):
        hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata))
    with times.step("pathway scores"):
        hs.pp.score_pathways(adata, LAYERS, min_genes=3)
    with times.step("neighbour graph"):
        hs.pp.spatial_graph(adata)
    with times.step("image encoder (stain_stats)"):
        hs.tl.encode_image(adata, "stain_stats")
    with times.step("gene encoder (PCA)"):
        hs.tl.encode_genes(adata, hs.tl.fit_pca(adata))
    with times.step("fusion (Contrastive)"):
        hs.tl.fuse(adata, hs.nn.Contrastive())
    with times.step("domains (Leiden)"):
        hs.tl.domains_leiden(adata, n_domains=6)
    image, genes = adata.obsm["X_fused_image"], adata.obsm["X_fused_genes"]
    return {
        "spots": adata.n_obs,
        "genes": adata.n_vars,
        "tokens per spot (mean)": float((adata.obsm["gene_tokens"] > 0).sum(axis=1).mean()),
        "domains": adata.obs["domain"].nunique(),
        "recall at 10, image to its genes": hs.metrics.recall_at_k(image, genes, 10),
        "the same by chance": min(10 / adata.n_obs, 1),
        "effective rank of X_fused": hs.metrics.effective_rank(adata.obsm["X_fused"]),
    }


def main() -> None:
    """Run the demo and say where its results lie."""
    start = time.perf_counter()
    out = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parents[1] / "demo")
    out.mkdir(parents=True, exist_ok=True)
    times = Times()
    with times.step("read the section"):
        adata = hs.datasets.mouse_olfactory_bulb()
    print(f"histoscribe {hs.__version__} on a mouse olfactory bulb: {adata.n_obs} spots, {adata.n_vars} genes")
    numbers = run(adata, times)
    with times.step("figure"):
        figure = hs.pl.panels(adata, ["Penk", "granule", "mitral", "nerve", "domain"])
        figure.savefig(out / "figure.png", dpi=150)
    with times.step("write h5ad"):
        hs.io.write(adata, out / "section.h5ad")
    times["total"] = time.perf_counter() - start
    rows = [*numbers.items(), *((f"seconds: {step}", value) for step, value in times.items())]
    table = pd.DataFrame(rows, columns=["what", "value"])
    table.to_csv(out / "numbers.tsv", sep="\t", index=False, float_format="%.4g")
    print(table.to_string(index=False, header=False, float_format="%.3f"))
    print(f"Wrote {out}/section.h5ad, figure.png and numbers.tsv")


if __name__ == "__main__":
    main()
