"""Gene encoder on the pathologist's labels.

The protocol of the [labels of her2st](her2st_labels): six patients, each left out in turn, class-balanced probe and ARI of
the left-out section, ± SD over patients. *Strict*: vocabulary, genes, components and encoders are fitted on all sections of
the other five patients (24 to 27, labels unread), so that baselines see what the encoders see. *Transductive*: on all 30
sections, the left-out patient's too. Encoders are `GeneEncoder.tiny` on the 128 first genes of each spot, by residuals
against the section's own shares, of 2,000 variable genes; four epochs, the first on the spot alone (IGR); three seeds.
*Untrained* is where they start: vectors of genes that go together in neighbouring spots. *Ring average*: half of a spot's
own vector, half of the mean over the spots within 320 um. Options were chosen on these labels, on encoders of all sections,
among some twenty; the baselines had no such choice.
"""

import warnings

import pandas as pd
from _context_net import context_net
from _labels import classes, domains, kept, load, probed, table
from _recipe import OBJECTIVES, Pick, encoder, everything, of_patients, on
from _representations import Fit, averaged, pca, slot, with_rings

import histoscribe as hs

SEEDS = range(3)
BASE = "PCA centred, rings beside"


def _rows(pick: Pick) -> dict[str, list[Fit]]:
    """Representations, fitted on the sections that ``pick`` takes."""
    plain, centred = (on(pca(centred=how), pick) for how in (False, True))
    untrained = [encoder("set", 0, pick, epochs=1, lr=1e-9)]
    rows = {
        "PCA": [plain],
        "PCA, ring average": [averaged(plain)],
        "PCA, rings beside": [with_rings(plain)],
        "PCA centred": [centred],
        "PCA centred, ring average": [averaged(centred)],
        BASE: [with_rings(centred)],
        "untrained": untrained,
        "untrained, ring average": [averaged(fit) for fit in untrained],
    }
    for name, context in OBJECTIVES.items():
        fits = [encoder(context, seed, pick) for seed in SEEDS]
        rows |= {name: fits, f"{name}, ring average": [averaged(fit) for fit in fits]}
    return rows


def _strict_alone() -> dict[str, list[Fit]]:
    """Rows that are made for each spot without fitting, or by a network of its own."""
    scores = slot("score_hallmark")
    networks = [averaged(on(context_net(seed), of_patients)) for seed in SEEDS]
    return {
        "Hallmark scores": [scores],
        "Hallmark scores, ring average": [averaged(scores)],
        "context network, ring average": networks,
    }


def measure() -> dict[str, pd.DataFrame] | None:
    """Return a table of each kind, and the probe by patient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adatas = load()
        if adatas is None:
            return None
        hs.pp.score_pathways(adatas)
        names = kept(classes(adatas))
        tables = {}
        for kind, rows in (("Strict", _strict_alone() | _rows(of_patients)), ("Transductive", _rows(everything))):
            balanced = probed(adatas, rows, "region")
            tables[kind] = table(rows, balanced, domains(adatas, rows, names), BASE)
            by_patient = balanced.groupby("row", sort=False).mean().loc[list(rows)].round(2)
            tables[f"{kind}: balanced accuracy by left-out patient"] = by_patient.rename_axis(
                "representation"
            ).reset_index()
    return tables
