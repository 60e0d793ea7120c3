"""The recipe of the gene encoders that are trained on her2st: one place, for weights, tables and pictures."""

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from _labels import RADIUS_UM
from _representations import Encode, Fit, once, section, variable_genes
from anndata import AnnData

import histoscribe as hs

SECTIONS = tuple(f"{patient}{n}" for patient in "ABCDEF" for n in (1, 2, 3))  # E and F have no more
Pick = Callable[[list[AnnData]], list[AnnData]]
N_TOKENS, EPOCHS, BATCH = 128, 2, 72  # one epoch on the spot itself and one on its neighbours too, as the reference
OBJECTIVES = {"IGR": None, "IGR + CGR": "cgr", "IGR + set": "set"}
SEEDS = range(5)


@cache
def corpus() -> tuple[AnnData, ...]:
    """Three sections of each patient, with rings of neighbours."""
    adatas = [hs.datasets.her2st(name) for name in SECTIONS]
    hs.pp.spatial_graph(adatas, radius_um=RADIUS_UM)
    return tuple(adatas)


def of_patients(train: list[AnnData]) -> list[AnnData]:
    """Return all sections of the patients of some."""
    patients = {section(one)[0] for one in train}
    return [one for one in corpus() if section(one)[0] in patients]


def everything(train: list[AnnData]) -> list[AnnData]:
    """Return the sections of all patients, whatever is left out."""
    return list(corpus())


def pretrained(adatas: list[AnnData], context: str | None, seed: int, *, epochs: int = EPOCHS) -> hs.nn.Model:
    """Train an encoder on the variable genes of some sections; kept in the cache, for tables share them and take hours."""
    config = hs.nn.GeneEncoder.tiny(context=context, n_tokens=N_TOKENS)
    train = hs.nn.TrainConfig(epochs=epochs, batch_size=BATCH, val_fraction=0.0, random_state=seed)
    said = [*map(section, adatas), repr(config), repr(train), _code()]
    folder = hs.settings.cache_dir / "benchmarks" / hashlib.sha256(" ".join(said).encode()).hexdigest()[:16]
    if not folder.is_dir():
        wanted = set(variable_genes(adatas))
        held = [one[:, [gene in wanted for gene in one.var_names]].copy() for one in adatas]
        hs.tl.pretrain_genes(held, config, rank="section", train=train).save(folder)
    return hs.nn.load(folder)


@cache
def _code() -> str:
    """Hash of the code that trains: after a change, models are trained anew."""
    source = Path(hs.__file__).resolve().parent
    files = [
        *(source / "nn" / "genes").glob("*.py"),
        source / "nn" / "_training.py",
        source / "tl" / "_pretrain_genes.py",
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(files))).hexdigest()


def encoder(context: str | None, seed: int, pick: Pick, *, epochs: int = EPOCHS) -> Fit:
    """Vectors of an encoder that is trained on the sections that ``pick`` takes."""

    def fit(adatas: list[AnnData]) -> Encode:
        model = pretrained(pick(adatas), context, seed, epochs=epochs)

        def encode(adata: AnnData) -> np.ndarray:
            found = hs.tl.encode_genes(adata, model, copy=True)
            return np.asarray(found.obsm["X_genes"], dtype=np.float64)

        return encode

    return once(fit)


def on(fit: Fit, pick: Pick) -> Fit:
    """Fit on the sections that ``pick`` takes."""
    return lambda adatas: fit(pick(adatas))
