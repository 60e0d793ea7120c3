"""The pathologist's labels of her2st, and how vectors are judged by them."""

import numpy as np
import pandas as pd
from _representations import Fit
from anndata import AnnData
from sklearn.cluster import KMeans
from threadpoolctl import ThreadpoolController

import histoscribe as hs

SECTIONS = ("A1", "B1", "C1", "D1", "E1", "F1")
SEEDS = range(5)
RADIUS_UM = 320.0
DROP, LEAST = ("undetermined",), 10
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0)


def load(names: tuple[str, ...] = SECTIONS) -> list[AnnData] | None:
    """Sections with their rings of neighbours; None where they are not here."""
    try:
        adatas = [hs.datasets.her2st(name) for name in names]
    except OSError:
        return None
    hs.pp.spatial_graph(adatas, radius_um=RADIUS_UM)
    return adatas


def probed(adatas: list[AnnData], rows: dict[str, list[Fit]], target: str) -> pd.DataFrame:
    """Balanced accuracy of each representation, seed and left-out patient, and that within the training side."""
    reps = {f"{name}#{seed}": fit for name, fits in rows.items() for seed, fit in enumerate(fits)}
    frame = hs.tl.linear_probe(adatas, target, use_rep=reps, drop=DROP, min_spots=LEAST, strengths=STRENGTHS)
    named = frame["rep"].str.rsplit("#", n=1, expand=True).set_axis(["row", "seed"], axis=1)
    return frame.join(named).set_index(["row", "seed", "test"])[["balanced_accuracy", "inner_accuracy"]]


def by_patient(found: pd.DataFrame) -> pd.DataFrame:
    """Balanced accuracy: a row for each representation and seed, a column for each patient."""
    return found["balanced_accuracy"].unstack()  # noqa: PD010


def chosen_inside(found: pd.DataFrame, rows: list[str]) -> pd.Series:
    """Balanced accuracy of the representation that was best within the training side, patient by patient."""
    means = found.groupby(["row", "test"]).mean().loc[rows]
    best = means["inner_accuracy"].groupby("test").idxmax()
    return means["balanced_accuracy"].loc[best].droplevel("row")


def classes(adatas: list[AnnData]) -> pd.DataFrame:
    """Count spots by class and section."""
    counts = pd.DataFrame({str(one.obs["library_id"].iloc[0]): one.obs["region"].value_counts() for one in adatas})
    return counts.fillna(0).astype(int).assign(total=counts.sum(axis=1).astype(int))


def kept(counts: pd.DataFrame) -> set[str]:
    """Classes that count."""
    return set(counts.index[counts["total"] >= LEAST]) - set(DROP)


def _clustered(adata: AnnData, x: np.ndarray, names: set[str], seed: int) -> dict[str, float]:
    """Agreement of each way to cluster a section's labelled spots with their labels."""
    labelled = adata.obs["region"].isin(names).to_numpy()
    truth = adata.obs["region"].astype(str)[labelled].to_numpy()
    n = len(np.unique(truth))
    holder = AnnData(obs=pd.DataFrame(index=adata.obs_names[labelled]), obsm={"x": x[labelled].astype(np.float32)})
    found = {"k-means": KMeans(n, n_init=10, random_state=seed).fit_predict(holder.obsm["x"])}
    for name, cluster in (("mixture", hs.tl.domains_gmm), ("Leiden", hs.tl.domains_leiden)):
        cluster(holder, n_domains=n, use_rep="x", random_state=seed)
        found[name] = holder.obs["domain"].to_numpy()
    return {name: hs.metrics.domain_agreement(labels, truth)["ari"] for name, labels in found.items()}


def domains(adatas: list[AnnData], rows: dict[str, list[Fit]], names: set[str]) -> pd.DataFrame:
    """Measure the adjusted Rand index by row, seed, way and section."""
    found, threads = [], ThreadpoolController()
    for name, fits in rows.items():
        for test in adatas:
            train = [one for one in adatas if one is not test]
            for seed in SEEDS:
                x = fits[seed % len(fits)](train)(test)
                with threads.limit(limits=1):  # so few spots: threads would only wait for each other
                    scores = _clustered(test, x, names, seed)
                section = test.obs["library_id"].iloc[0]
                found += [(name, seed, section, way, ari) for way, ari in scores.items()]
    return pd.DataFrame(found, columns=["row", "seed", "section", "way", "ari"])


def _spread(values: pd.Series) -> str:
    return f"{values.mean():.2f} ± {values.std(ddof=0):.2f}"


def _ahead(own: pd.Series, base: pd.Series) -> str:
    test = hs.metrics.compare_patients(own, base)
    return f"{test['difference']:+.2f} [{test['low']:+.2f}, {test['high']:+.2f}]"


def table(rows: dict[str, list[Fit]], balanced: pd.DataFrame, ari: pd.DataFrame, base: str) -> pd.DataFrame:
    """Return a line for each representation, those that were only probed last: scores, and the lead over one of them."""
    other, lines = balanced.loc[base].mean(), []
    for name in [*rows, *balanced.index.unique("row").difference(rows, sort=False)]:
        by_patient, seeds = balanced.loc[name].mean(), balanced.loc[name].mean(axis=1)
        line = {"representation": name, "balanced accuracy": _spread(by_patient)}
        line[f"difference from {base}"] = "" if name == base else _ahead(by_patient, other)
        own = ari[ari["row"] == name]
        for way, part in own.groupby("way", sort=False):
            line[f"ARI, {way}"] = _spread(part.groupby("section")["ari"].mean())
        over_seeds = own.groupby(["way", "seed"], sort=False)["ari"].mean().groupby("way", sort=False).std(ddof=0)
        probe_seeds = f"{seeds.std(ddof=0):.2f}" if len(seeds) > 1 else "none"
        line["SD over seeds: probe / ARI"] = " / ".join([probe_seeds, *(f"{sd:.2f}" for sd in over_seeds)])
        lines.append(line)
    return pd.DataFrame(lines).fillna("")
