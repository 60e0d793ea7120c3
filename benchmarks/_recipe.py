"""The recipe of the gene encoders that are trained on her2st: one place, for weights, tables and pictures."""

from collections.abc import Callable
from functools import cache

import numpy as np
from _labels import RADIUS_UM
from _representations import Encode, Fit, once, section, variable_genes
from anndata import AnnData

import histoscribe as hs

SECTIONS = (
    *(f"{patient}{n}" for patient in "ABCD" for n in range(1, 7)),
    *(f"{p}{n}" for p in "EF" for n in (1, 2, 3)),
)
Pick = Callable[[list[AnnData]], list[AnnData]]
OPTIONS = {"n_tokens": 128, "intrinsic_share": 0.25}
EPOCHS, BATCH, RATE = 4, 72, 1e-3
OBJECTIVES = {"IGR": None, "IGR + CGR": "cgr", "IGR + set": "set"}


@cache
def corpus() -> tuple[AnnData, ...]:
    """All sections, with rings of neighbours."""
    adatas = [hs.datasets.her2st(name) for name in SECTIONS]
    hs.pp.spatial_graph(adatas, radius_um=RADIUS_UM)
    return tuple(adatas)


def of_patients(train: list[AnnData]) -> list[AnnData]:
    """Return all sections of the patients of some."""
    patients = {section(one)[0] for one in train}
    return [one for one in corpus() if section(one)[0] in patients]


def everything(train: list[AnnData]) -> list[AnnData]:
    """Return all sections, whatever is left out."""
    return list(corpus())


def pretrained(adatas: list[AnnData], context: str | None, seed: int, **train: float) -> hs.nn.Model:
    """Train an encoder on the variable genes of some sections."""
    wanted = set(variable_genes(adatas))
    held = [one[:, [gene in wanted for gene in one.var_names]].copy() for one in adatas]
    config = hs.nn.GeneEncoder.tiny(context=context, **OPTIONS)
    options = {"epochs": EPOCHS, "batch_size": BATCH, "lr": RATE, "val_fraction": 0.0, "random_state": seed, **train}
    return hs.tl.pretrain_genes(held, config, rank="section", train=hs.nn.TrainConfig(**options))


def encoder(context: str | None, seed: int, pick: Pick, **train: float) -> Fit:
    """Vectors of an encoder that is trained on the sections that ``pick`` takes."""

    def fit(adatas: list[AnnData]) -> Encode:
        model = pretrained(pick(adatas), context, seed, **train)

        def encode(adata: AnnData) -> np.ndarray:
            found = hs.tl.encode_genes(adata, model, copy=True)
            return np.asarray(found.obsm["X_genes"], dtype=np.float64)

        return encode

    return once(fit)


def on(fit: Fit, pick: Pick) -> Fit:
    """Fit on the sections that ``pick`` takes."""
    return lambda adatas: fit(pick(adatas))
