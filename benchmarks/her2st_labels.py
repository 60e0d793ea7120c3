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
from _representations import Fit, averaged, coordinates, pca, random_vectors, slot, tokens, with_rings
from anndata import AnnData
from sklearn.cluster import KMeans
from threadpoolctl import ThreadpoolController

import histoscribe as hs

SECTIONS = ("A1", "B1", "C1", "D1", "E1", "F1")
SEEDS = range(5)
RADIUS_UM = 320.0
BASE, CONTEXT = "PCA", "context network, ring average"
DROP, LEAST = ("undetermined",), 10
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)


def _load() -> list[AnnData] | None:
    try:
        adatas = [hs.datasets.her2st(name) for name in SECTIONS]
    except OSError:
        return None
    hs.pp.spatial_graph(adatas, radius_um=RADIUS_UM)
    hs.pp.score_pathways(adatas)
    rng = np.random.default_rng(0)
    for one in adatas:
        one.obs["shuffled"] = one.obs["region"].to_numpy()[rng.permutation(one.n_obs)]
    return adatas


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


def _probed(adatas: list[AnnData], rows: dict[str, list[Fit]], target: str) -> pd.DataFrame:
    """Balanced accuracy: a row for each representation and seed, a column for each patient."""
    reps = {f"{name}#{seed}": fit for name, fits in rows.items() for seed, fit in enumerate(fits)}
    frame = hs.tl.linear_probe(adatas, target, use_rep=reps, drop=DROP, min_spots=LEAST, strengths=STRENGTHS)
    named = frame["rep"].str.rsplit("#", n=1, expand=True).set_axis(["row", "seed"], axis=1)
    return frame.join(named).set_index(["row", "seed", "test"])["balanced_accuracy"].unstack()  # noqa: PD010


def _classes(adatas: list[AnnData]) -> pd.DataFrame:
    counts = pd.DataFrame({str(one.obs["library_id"].iloc[0]): one.obs["region"].value_counts() for one in adatas})
    return counts.fillna(0).astype(int).assign(total=counts.sum(axis=1).astype(int))


def _clustered(adata: AnnData, x: np.ndarray, kept: set[str], seed: int) -> dict[str, float]:
    """Agreement of each way to cluster a section's labelled spots with their labels."""
    labelled = adata.obs["region"].isin(kept).to_numpy()
    truth = adata.obs["region"].astype(str)[labelled].to_numpy()
    n = len(np.unique(truth))
    holder = AnnData(obs=pd.DataFrame(index=adata.obs_names[labelled]), obsm={"x": x[labelled].astype(np.float32)})
    found = {"k-means": KMeans(n, n_init=10, random_state=seed).fit_predict(holder.obsm["x"])}
    for name, domains in (("mixture", hs.tl.domains_gmm), ("Leiden", hs.tl.domains_leiden)):
        domains(holder, n_domains=n, use_rep="x", random_state=seed)
        found[name] = holder.obs["domain"].to_numpy()
    return {name: hs.metrics.domain_agreement(labels, truth)["ari"] for name, labels in found.items()}


def _domains(adatas: list[AnnData], rows: dict[str, list[Fit]], kept: set[str]) -> pd.DataFrame:
    """Measure the adjusted Rand index by row, seed, way and section."""
    found, threads = [], ThreadpoolController()
    for name, fits in rows.items():
        for test in adatas:
            train = [one for one in adatas if one is not test]
            for seed in SEEDS:
                x = fits[seed % len(fits)](train)(test)
                with threads.limit(limits=1):  # so few spots: threads would only wait for each other
                    scores = _clustered(test, x, kept, seed)
                section = test.obs["library_id"].iloc[0]
                found += [(name, seed, section, way, ari) for way, ari in scores.items()]
    return pd.DataFrame(found, columns=["row", "seed", "section", "way", "ari"])


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=0):.2f}"


def _ahead(own: pd.Series, base: pd.Series) -> str:
    test = hs.metrics.compare_patients(own, base)
    return f"{test['difference']:+.2f} [{test['low']:+.2f}, {test['high']:+.2f}]"


def _table(rows: dict[str, list[Fit]], probed: pd.DataFrame, domains: pd.DataFrame) -> pd.DataFrame:
    base, lines = probed.loc[BASE].mean(), []
    for name in rows:
        by_patient, seeds = probed.loc[name].mean(), probed.loc[name].mean(axis=1)
        line = {"representation": name, "balanced accuracy": _spread(by_patient)}
        line["difference from PCA"] = "" if name == BASE else _ahead(by_patient, base)
        own = domains[domains["row"] == name]
        for way, part in own.groupby("way", sort=False):
            line[f"ARI, {way}"] = _spread(part.groupby("section")["ari"].mean())
        over_seeds = own.groupby(["way", "seed"], sort=False)["ari"].mean().groupby("way", sort=False).std(ddof=0)
        probe_seeds = f"{seeds.std(ddof=0):.2f}" if len(seeds) > 1 else "none"
        line["SD over seeds: probe / ARI"] = " / ".join([probe_seeds, *(f"{sd:.2f}" for sd in over_seeds)])
        lines.append(line)
    return pd.DataFrame(lines)


def measure() -> dict[str, pd.DataFrame] | None:
    """Return the table of representations, the probe by patient and the classes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adatas = _load()
        if adatas is None:
            return None
        classes, rows = _classes(adatas), _rows()
        kept = set(classes.index[classes["total"] >= LEAST]) - set(DROP)
        probed = _probed(adatas, rows, "region")
        control = _probed(adatas, {name: rows[name] for name in (BASE, "PCA centred, ring average")}, "shuffled")
        first = _table(rows, probed, _domains(adatas, rows, kept))
        other = _by_scanpy()
        second = _table(other, _probed(adatas, other, "region"), _domains(adatas, other, kept))
    by_patient = probed.groupby("row", sort=False).mean().loc[list(rows)]
    shuffled = control.groupby("row", sort=False).mean().rename(index=lambda name: f"{name}, labels shuffled")
    by_patient = pd.concat([by_patient, shuffled]).map(partial("{:.2f}".format))
    return {
        "Representations": first,
        "The same with scanpy's highly variable genes": second,
        "Balanced accuracy by left-out patient": by_patient.rename_axis("representation").reset_index(),
        "Spots by class": classes.rename_axis("class").reset_index(),
    }
