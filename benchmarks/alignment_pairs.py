"""What pretraining genes without images is worth when pairs are few, and what pairs teach a gene encoder.

The reference trains its gene encoder on many sections without images first, so that fewer pairs are needed. Here: gene vectors
of four patients without images (three sections each of A, D, E, F), then `nn.Contrastive` on 10, 30 and 100 % of the pairs of
her2st C2 to C5 (cached `stain_stats`, patch), drawn at random. Recall at 10, mean of both ways, on C6 (same patient) and B4
(another one), ± SD over three draws. *Pretrained*: `GeneEncoder.tiny`, IGR and set, two epochs. *Linear start*: the same without
training. *Random*: random weights. *Trained further*: the encoder is part of the alignment (`fuse(gene_model=)`), as the reference
has it, at a tenth of the learning rate of the heads; the random one, which has nothing to lose, at their own. *Components*: fitted on
the same four patients, or on the pairs themselves. But for these and the last row of components, gene vectors are the same at
each share: what changes is how many pairs the heads see.

Pretraining is worth a great deal against random weights, at every share, which is the reference's claim; against its own linear start
it is worth nothing that stands out of the spread, and components of the same four patients are ahead of all encoders. Training an
encoder further with the pairs changes nothing that a thousand of them could show, and random weights that are trained with the pairs stay
far behind: what counts at this size is where an encoder starts, not that it is trained along. What holds
without any network: genes without images help where pairs are few (components of the four patients against those of the pairs,
10 and 30 %), and no longer where there are many.
"""

import warnings

import numpy as np
import pandas as pd
from _alignment import C, cached, encoded, her2st, mean_recall
from _recipe import BATCH, N_TOKENS, SECTIONS
from _representations import section, variable_genes
from anndata import AnnData

import histoscribe as hs

SEEDS, SHARES = range(3), (0.1, 0.3, 1.0)
OWN = "components of the pairs"


def _encoder(unpaired: list[AnnData], *, epochs: int, start: str) -> hs.nn.Model:
    wanted = set(variable_genes(unpaired))
    held = [one[:, [gene in wanted for gene in one.var_names]].copy() for one in unpaired]
    config = hs.nn.GeneEncoder.tiny(context="set", n_tokens=N_TOKENS, start=start)
    train = hs.nn.TrainConfig(epochs=epochs, batch_size=BATCH, val_fraction=0.0)
    return hs.tl.pretrain_genes(held, config, rank="section", train=train)


def _few(adatas: list[AnnData], share: float, seed: int) -> list[AnnData]:
    rng = np.random.default_rng(seed)
    return [one[np.sort(rng.permutation(one.n_obs)[: max(3, round(share * one.n_obs))])].copy() for one in adatas]


def measure() -> pd.DataFrame | None:
    """Return a row for each gene representation, a column for each share of the pairs and section."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adatas = her2st((*C, "B4"))
        if adatas is None:
            return None
        train, tests = adatas[:4], adatas[4:]
        encoded(adatas, "stain_stats", "X_stain")
        unpaired = [hs.datasets.her2st(name) for name in SECTIONS if name[0] in "ADEF"]
        models = {
            "pretrained encoder": _encoder(unpaired, epochs=2, start="linear"),
            "encoder, linear start": _encoder(unpaired, epochs=0, start="linear"),
            "encoder, random": _encoder(unpaired, epochs=0, start="random"),
            "components of the four patients": hs.tl.fit_pca(unpaired, n_comps=50),
            OWN: None,
        }
        further = {"pretrained encoder": 0.1, "encoder, linear start": 0.1, "encoder, random": 1.0}
        found = [line for name, model in models.items() for line in _scores(name, model, train, tests)]
        for name, rate in further.items():
            found += _scores(f"{name}, trained further", models[name], train, tests, rate)
    frame = pd.DataFrame(found, columns=["gene vectors", "share", "section", "recall"])
    said = frame.groupby(["gene vectors", "section", "share"], sort=False)["recall"].agg(
        lambda values: f"{values.mean():.3f} ± {values.std(ddof=0):.3f}"
    )
    table = said.unstack(["section", "share"])  # noqa: PD010
    table.columns = [f"{name}, {share:.0%}" for name, share in table.columns]
    chance = [f"{10 / next(one.n_obs for one in tests if section(one) == name.split(',')[0]):.3f}" for name in table]
    table.loc["chance"] = chance
    return table.rename_axis("gene vectors").reset_index()


def _scores(
    name: str, model: hs.nn.Model | None, train: list[AnnData], tests: list[AnnData], rate: float = 0.0
) -> list[tuple[str, float, str, float]]:
    """Align with the vectors of a gene model as they are; or, at a ``rate``, train it further with the pairs."""
    lines = []
    for share in SHARES:
        for seed in SEEDS:
            some = _few(train, share, seed)
            if rate:
                fused = cached(some, "X_stain", region=False, seed=seed, gene_model=model, trunk_rate=rate)
            else:
                own = model or hs.tl.fit_pca(some, n_comps=min(50, sum(one.n_obs for one in some) - 1))
                hs.tl.encode_genes([*some, *tests], own)
                fused = cached(some, "X_stain", region=False, seed=seed)
            lines += [(name, share, section(test), mean_recall(test, fused)) for test in tests]
    return lines
