"""Pathologist's labels of her2st.

Six sections of breast cancer (A1 to F1), one a patient, each left out in turn. Variable genes (2,000), 30 components of
CP10k log1p, token vocabularies and networks are fitted on the other five. *Probe* (`tl.linear_probe`): class-balanced L2
logistic regression, strength chosen by leaving out training patients; recall averaged over the classes that a section has,
then over patients (guessing gives .25, always the same class .32). *ARI*: the left-out section in as many groups as it has
classes, by k-means (10 starts), Gaussian mixture and Leiden; mean over sections of five seeds. No class: `undetermined`,
and what has fewer than 10 spots; for the probe also what one patient alone has, for it can't be learnt across patients.
*Centred*: each gene's mean over the section is subtracted. *Rings*: means over the spots within 320 um (the eight around),
and over those around these. *Tokens*: components of a spot's first 1,500 tokens, weighted 1 / log2(1 + rank). *Context
network*: two linear layers that learn only to predict the first ring's mean of centred genes (a baseline: of two shapes
tried, the one that did better here). ± is the SD over six patients; SD over seeds beside; differences with the 95 %
interval of a bootstrap over patients. Six patients are few, and the choice of genes alone moves a row by as much as most
rows differ: the second table repeats some with scanpy's highly variable genes.
"""

import warnings
from functools import partial

import numpy as np
import pandas as pd
from _context_net import context_net
from _labels import SEEDS, by_patient, classes, domains, kept, load, probed, table
from _representations import Fit, averaged, coordinates, pca, random_vectors, slot, tokens, with_rings

import histoscribe as hs

BASE, CONTEXT = "PCA", "context network, ring average"


def _rows() -> dict[str, list[Fit]]:
    """Representations; several fits where they depend on a seed."""
    plain, centred = pca(centred=False), pca(centred=True)
    mean, residual = tokens("mean"), tokens("residual")
    networks = [context_net(seed) for seed in SEEDS]
    return {
        "random vectors": [random_vectors(seed) for seed in SEEDS],
        "coordinates only": [lambda _: coordinates],
        "Hallmark scores": [slot("score_hallmark")],
        "Hallmark scores, ring average": [averaged(slot("score_hallmark"))],
        BASE: [plain],
        "PCA, ring average": [averaged(plain)],
        "PCA, rings beside": [with_rings(plain)],
        "PCA centred": [centred],
        "PCA centred, ring average": [averaged(centred)],
        "PCA centred, rings beside": [with_rings(centred)],
        "tokens by mean rank": [mean],
        "tokens by mean rank, ring average": [averaged(mean)],
        "tokens by residual rank": [residual],
        "tokens by residual rank, ring average": [averaged(residual)],
        "context network": networks,
        CONTEXT: [averaged(one) for one in networks],
    }


def _by_scanpy() -> dict[str, list[Fit]]:
    """Return some of them with scanpy's genes."""
    plain, centred = pca(centred=False, by_scanpy=True), pca(centred=True, by_scanpy=True)
    return {
        BASE: [plain],
        "PCA, ring average": [averaged(plain)],
        "PCA centred, ring average": [averaged(centred)],
        "PCA centred, rings beside": [with_rings(centred)],
        CONTEXT: [averaged(context_net(seed, by_scanpy=True)) for seed in SEEDS],
    }


def measure() -> dict[str, pd.DataFrame] | None:
    """Return the table of representations, the probe by patient and the classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adatas = load()
        if adatas is None:
            return None
        hs.pp.score_pathways(adatas)
        rng = np.random.default_rng(0)
        for one in adatas:
            one.obs["shuffled"] = one.obs["region"].to_numpy()[rng.permutation(one.n_obs)]
        counts, rows = classes(adatas), _rows()
        balanced = by_patient(probed(adatas, rows, "region"))
        control = by_patient(
            probed(adatas, {name: rows[name] for name in (BASE, "PCA centred, ring average")}, "shuffled")
        )
        first = table(rows, balanced, domains(adatas, rows, kept(counts)), BASE)
        other = _by_scanpy()
        second = table(other, by_patient(probed(adatas, other, "region")), domains(adatas, other, kept(counts)), BASE)
    patients = balanced.groupby("row", sort=False).mean().loc[list(rows)]
    shuffled = control.groupby("row", sort=False).mean().rename(index=lambda name: f"{name}, labels shuffled")
    patients = pd.concat([patients, shuffled]).map(partial("{:.2f}".format))
    return {
        "Representations": first,
        "The same with scanpy's highly variable genes": second,
        "Balanced accuracy by left-out patient": patients.rename_axis("representation").reset_index(),
        "Spots by class": counts.rename_axis("class").reset_index(),
    }
