"""Train the gene encoder that the tables judge on 18 sections of her2st, and write what is needed to use and judge it.

Run as `python benchmarks/gene_encoder_weights.py FOLDER`: weights and description (`FOLDER/model`, for `hs.nn.load`), the card
(`README.md`), the losses by epoch (`history.png`) and domains of one section (`domains.png`).

The repository of her2st (Andersson et al. 2021) names no licence, so weights learned from it are for your own use, not for
shipping; those of `--bulb` (mouse olfactory bulb as packaged by STUtility, MIT) may be shipped.
"""

import argparse
from pathlib import Path

from _recipe import corpus, pretrained
from anndata import AnnData

import histoscribe as hs
from histoscribe.nn._card import card


def main() -> None:
    """Train, and write everything into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--bulb", action="store_true", help="train on the four bulb sections instead")
    parser.add_argument("--context", default="set", choices=["set", "cgr"])
    given = parser.parse_args()
    sections = [hs.datasets.mouse_olfactory_bulb(k) for k in (1, 2, 3, 4)] if given.bulb else list(corpus())
    model = pretrained(sections, given.context, 0)
    given.folder.mkdir(parents=True, exist_ok=True)
    model.save(given.folder / "model")
    (given.folder / "README.md").write_text(
        card(model, f"histoscribe/{given.folder.name}", "mit" if given.bulb else None)
    )
    hs.pl.history(model).figure.savefig(given.folder / "history.png", dpi=150)
    _draw(sections[0], model, given.folder / "domains.png")


def _draw(adata: AnnData, model: hs.nn.Model, path: Path) -> None:
    hs.tl.encode_genes(adata, hs.tl.fit_pca(adata, n_comps=30), key_added="X_pca")
    hs.tl.encode_genes(adata, model)
    for rep in ("X_pca", "X_genes"):
        hs.tl.domains_gmm(adata, 5, use_rep=rep, key_added=f"domain_{rep}")
    known = ["region"] if "region" in adata.obs else []
    hs.pl.spatial(adata, color=[*known, "domain_X_pca", "domain_X_genes"]).savefig(path, dpi=150)


if __name__ == "__main__":
    main()
