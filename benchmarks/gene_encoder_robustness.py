"""What the gene encoder's vectors keep and lose.

*Patient*: balanced accuracy at telling the six patients apart in sections that the classifier did not see (odd sections to
learn from, even ones to test; chance .17; lower is better), beside the accuracy for the labels of left-out patients (higher is
better) of the same vectors: all are fitted on 18 sections of her2st. *Thinned*: 30 % of the counts of the left-out
patient are kept, at random; the probe is trained on whole counts of the others, components and encoders on the others'
sections; cosine is that between a spot's whole and thinned vectors, less the section's mean. *Other platforms*: fitted on
her2st and applied to mouse Visium (CytAssist) and olfactory bulb, genes joined by upper-case symbols; Moran's I, mean over
the first ten components of the vectors, and how many of the counts are in genes that the model knows. *Own* components are
fitted on the section itself: what it has to show. No labels exist there. Encoder: `IGR + set` of the
[labels](gene_encoder_labels), one seed.

Vectors less their section's mean say nothing of the patient, components' as little as the encoder's; whole components
say all. With few counts the encoder's accuracy falls a little, though its vectors turn further than components do. On other
platforms and another species neither carries over: little of the counts is in genes that both know, and what is left is far
less coherent than what the section itself has to show.
"""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse as sp
from _labels import by_patient, load, probed
from _recipe import Pick, corpus, encoder, everything, of_patients, on, pretrained
from _representations import N_COMPS, Encode, Fit, averaged, dense, pca, section, variable_genes
from anndata import AnnData
from sklearn.decomposition import PCA

import histoscribe as hs
from histoscribe._errors import GenesError

KEPT, N_LEADING = 0.3, 10


def _rows(pick: Pick) -> dict[str, Fit]:
    plain, centred = (on(pca(centred=how), pick) for how in (False, True))
    learned = encoder("set", 0, pick)
    rows = {"PCA": plain, "PCA centred": centred, "IGR + set": learned}
    return rows | {f"{name}, ring average": averaged(fit) for name, fit in rows.items()}


def _patients(labelled: list[AnnData]) -> pd.DataFrame:
    rows, adatas = _rows(everything), list(corpus())
    odd, even = ([section(one) for one in adatas if int(section(one)[1:]) % 2 == k] for k in (1, 0))
    fold = {"even sections": (odd, even)}
    told = hs.tl.linear_probe(adatas, "patient", use_rep=rows, patients="library_id", folds=fold)
    probes = by_patient(probed(labelled, {name: [fit] for name, fit in rows.items()}, "region"))
    labels = probes.groupby("row").mean().mean(axis=1)
    found = told.set_index("rep")["balanced_accuracy"]
    lines = [(name, f"{found[name]:.2f}", f"{labels[name]:.2f}") for name in rows]
    return pd.DataFrame(lines, columns=["representation", "patient", "label"])


def _thinned(adata: AnnData) -> AnnData:
    thin = adata.copy()
    counts = sp.csr_matrix(adata.layers["counts"]).astype(np.int64)
    counts.data = np.random.default_rng([*section(adata).encode()]).binomial(counts.data, KEPT)
    counts.eliminate_zeros()
    thin.layers["counts"] = counts
    return thin


def _on_thinned(fit: Fit) -> Fit:
    """Encode what was not trained on from thinned counts."""

    def fitted(train: list[AnnData]) -> Encode:
        encode, known = fit(train), {section(one) for one in train}
        return lambda adata: encode(adata if section(adata) in known else _thinned(adata))

    return fitted


def _depth(adatas: list[AnnData]) -> pd.DataFrame:
    rows = {}
    for name, fit in _fresh(of_patients).items():
        probes = by_patient(probed(adatas, {"whole": [fit], "thinned": [_on_thinned(fit)]}, "region"))
        scores = probes.groupby("row").mean()
        alike = [_alike(fit([one for one in adatas if one is not test]), test) for test in adatas]
        rows[name] = [f"{value:.2f}" for value in (*scores.loc[["whole", "thinned"]].mean(axis=1), np.mean(alike))]
    return pd.DataFrame.from_dict(rows, orient="index", columns=["whole", "thinned", "cosine"]).reset_index(
        names="representation"
    )


def _fresh(pick: Pick) -> dict[str, Fit]:
    """Representations that encode a section anew each time, thinned or not."""
    rows = {}
    for name, centred in (("PCA", False), ("PCA centred", True)):
        rows[name] = on(_components(centred=centred), pick)

    def learned(train: list[AnnData]) -> Encode:
        model = pretrained(pick(train), "set", 0)
        return lambda adata: hs.tl.encode_genes(adata, model, copy=True).obsm["X_genes"].astype(np.float64)

    return rows | {"IGR + set": learned}


def _components(*, centred: bool) -> Fit:
    fitted: dict[tuple[str, ...], tuple[list[str], PCA]] = {}

    def fit(train: list[AnnData]) -> Encode:
        key = tuple(map(section, train))
        if key not in fitted:
            genes = variable_genes(train)
            stacked = np.vstack([dense(one, genes, centred=centred) for one in train])
            fitted[key] = genes, PCA(N_COMPS, random_state=0).fit(stacked)
        genes, model = fitted[key]
        return lambda adata: model.transform(dense(adata, genes, centred=centred))

    return fit


def _alike(encode: Encode, adata: AnnData) -> float:
    """Mean cosine of the vectors of whole and thinned counts."""
    whole, thin = (x - x.mean(axis=0) for x in (encode(adata), encode(_thinned(adata))))
    return float((_unit(whole) * _unit(thin)).sum(axis=1).mean())


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def _others() -> Iterator[tuple[str, AnnData]]:
    """Sections of other platforms, and of another species: their genes under upper-case symbols."""
    visium = Path(os.environ["HISTOSCRIBE_DATA"]) / "visium_mouse_cytassist"
    for name, adata in (("Visium", hs.io.read_visium(visium)), ("olfactory bulb", hs.datasets.mouse_olfactory_bulb(1))):
        adata.var_names = adata.var_names.str.upper()
        adata.var_names_make_unique()
        hs.pp.spatial_graph(adata)
        yield name, adata


def _coherence(adata: AnnData, x: np.ndarray) -> float:
    """Mean Moran's I of the leading components of vectors."""
    leading = PCA(min(N_LEADING, x.shape[1]), random_state=0).fit_transform(x)
    return float(hs.metrics.morans_i(leading, adata.obsp["spatial_connectivities"]).mean())


def _elsewhere() -> pd.DataFrame:
    train, lines = list(corpus()), []
    models = {"IGR + set": pretrained(train, "set", 0)}
    fitted = _components(centred=True)(train)
    for name, adata in _others():
        try:
            found = hs.tl.encode_genes(adata, models["IGR + set"], copy=True)
        except GenesError as error:
            lines.append({"section": name, "counts in known genes": f"refused: {error.found}"})
            continue
        known = found.uns["histoscribe"]["obsm.X_genes"]["params"]["coverage"]
        own = hs.tl.encode_genes(adata, hs.tl.fit_pca(adata, n_comps=N_COMPS), copy=True)
        vectors = {
            "IGR + set": found.obsm["X_genes"],
            "PCA centred": fitted(adata),
            "PCA, own": own.obsm["X_genes"],
            "random": np.random.default_rng(0).standard_normal((adata.n_obs, N_COMPS)),
        }
        row = {"section": name, "counts in known genes": f"{known:.0%}"}
        lines.append(row | {f"Moran's I, {key}": f"{_coherence(adata, x):.2f}" for key, x in vectors.items()})
    return pd.DataFrame(lines).fillna("")


def measure() -> dict[str, pd.DataFrame] | None:
    """Return a table of each kind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labelled = load()
        if labelled is None:
            return None
        return {"Patients": _patients(labelled), "Thinned to 30 %": _depth(labelled), "Other platforms": _elsewhere()}
