"""Counts of a toy section: what the planted activity does to genes."""

import numpy as np
import scipy.sparse as sp

from .._errors import OptionError
from ._plant import Plant, Truth

_EFFECT = 0.9  # log fold change of a pathway's genes per unit of activity, at signal 1
_DEPTH, _DEPTH_SPREAD = 3000.0, 0.35
_NOISE_SHAPE = 4.0  # of the gamma that makes Poisson counts overdispersed


def gene_sets(plant: Plant, pathways: list[str], n_genes: int) -> dict[str, list[str]]:
    """Genes of each pathway, taken from the front of the gene list; the rest is in no set."""
    size = plant.genes_per_pathway
    needed = size * len(pathways)
    if needed > n_genes:
        fix = "Ask for more genes, or lower Plant.genes_per_pathway or n_null."
        raise OptionError("n_genes", found=str(n_genes), expected=f"{needed} or more for this plant", fix=fix)
    genes = gene_names(n_genes)
    return {name: genes[k * size : (k + 1) * size] for k, name in enumerate(pathways)}


def gene_names(n_genes: int) -> list[str]:
    """Return names that no real gene has."""
    return [f"TOY{k:04d}" for k in range(n_genes)]


def draw_counts(
    truth: Truth, plant: Plant, base: np.ndarray, sets: dict[str, list[str]], rng: np.random.Generator
) -> sp.csr_matrix:
    """Draw overdispersed counts (n, g) around the base expression ``base`` (g,), moved by the planted activity."""
    n, g = len(truth.domain), len(base)
    shift = np.zeros((n, g))
    for k, name in enumerate(sets):
        columns = slice(k * plant.genes_per_pathway, (k + 1) * plant.genes_per_pathway)
        shift[:, columns] = truth.activity[name].to_numpy()[:, None]
    rate = base * np.exp(plant.signal * _EFFECT * shift)
    depth = _DEPTH * rng.lognormal(0, _DEPTH_SPREAD, size=(n, 1))
    mean = depth * rate / rate.sum(axis=1, keepdims=True)
    noise = rng.gamma(_NOISE_SHAPE, 1 / _NOISE_SHAPE, size=(n, g))
    return sp.csr_matrix(rng.poisson(mean * noise).astype(np.int32))
