"""Each loss of the alignment left out in turn.

`nn.Contrastive` on her2st C2 to C5; recall at 10 of the pairs of C6 (same patient) and of B4 (another one), mean of image to genes
and genes to image, ± SD over three seeds. *Cached*: vectors of `stain_stats` for patch and region. *From pixels*: a ViT of
three blocks that starts from random weights. Chance is 10 of the number of spots. Placing: share of the patches of C6 that are put in
the right ninth of their region (chance .11). A few hundred spots of one patient can tell a loss that carries the others from one
that does nothing; differences within the SD are none.

Patch and spot is the loss that counts: without it recall falls by a fifth to a third on C6. The others make no pair easier
to find here; patch to region costs a little. Placing is learned by its own loss alone (.42 of C6's patches after 15 epochs, .21 without).
"""

import warnings

import numpy as np
import pandas as pd
import torch
from _alignment import C, cached, components, encoded, from_pixels, her2st, mean_recall
from anndata import AnnData
from torch.nn import functional as F

import histoscribe as hs
from histoscribe.nn.fusion._contrastive import LOSSES

SEEDS = range(3)


@torch.no_grad()
def placed(adata: AnnData, model: hs.nn.Model) -> float:
    """Share of patches that are put in the right cell of a region that was placed at random around them."""
    from histoscribe.nn.fusion._pixel_rows import PixelRows
    from histoscribe.tl._pixels import pixels_of

    module = model.module
    with pixels_of([adata], module.encoder("cpu"), tiles_key="tiles", library_key="library_id") as (pixels, seen):
        n = int(seen.sum())
        held = {"row": torch.from_numpy(np.flatnonzero(seen)), "boxes": torch.zeros(n, 4)}
        hits = []
        served = PixelRows(pixels, held, augment=False)
        for asked in served.batches(64, 0, None):
            batch = served[asked]
            joint = module.joint(
                {**batch, "genes": torch.zeros(len(batch["cell"]), module.pairs.genes.scale.mean.shape[0])}
            )
            near = torch.einsum("nkd,nd->nk", F.normalize(joint["cells"], dim=-1), F.normalize(joint["part"], dim=-1))
            hits.append((near.argmax(dim=1) == batch["cell"]).float())
    return float(torch.cat(hits).mean())


def _line(name: str, models: list[hs.nn.Model], tests: list[AnnData], *, pixels: bool) -> dict[str, str]:
    line = {"losses": name}
    for test in tests:
        found = [mean_recall(test, model) for model in models]
        line[str(test.obs["library_id"].iloc[0])] = f"{np.mean(found):.3f} ± {np.std(found):.3f}"
    if pixels:
        line["placing"] = f"{np.mean([placed(tests[0], model) for model in models]):.2f}"
    return line


def measure() -> dict[str, pd.DataFrame] | None:
    """Return a table for vectors and one for pixels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adatas = her2st((*C, "B4"))
        if adatas is None:
            return None
        train, tests = adatas[:4], adatas[4:]
        encoded(adatas, "stain_stats", "X_stain")
        components(train, tests)
        tables = {}
        for title, names, pixels in (("Cached", LOSSES[:3], False), ("From pixels", LOSSES, True)):
            lines = []
            for off in (None, *names):
                kept = tuple(name for name in names if name != off)
                models = [
                    from_pixels(train, seed=seed, losses=kept)
                    if pixels
                    else cached(train, "X_stain", region=True, seed=seed, losses=kept)
                    for seed in SEEDS
                ]
                lines.append(_line("all" if off is None else f"without {off}", models, tests, pixels=pixels))
            tables[title] = pd.DataFrame(lines)
        chance = [f"{10 / test.n_obs:.3f}" for test in tests]
        tables["Cached"].loc[len(tables["Cached"])] = ["chance", *chance]
        return tables
