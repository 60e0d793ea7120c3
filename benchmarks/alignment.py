"""Image and genes that find each other.

`nn.Contrastive`, trained on some sections and asked of another one: for how many of its spots is the partner, of all spots of
that section, nearest or among the ten nearest in the joint space (mean over three seeds ± SD). *Another patient*: her2st C2
to C6, then B4; one patient, so nothing is claimed beyond it. *Same patient* and *same tissue* (mouse olfactory bulb) are
interpolation. Gene vectors: 30 components fitted on the training sections. *Patch*: one contrast; *regions*: also the 3 x 3
tiles around it, and patch to region. *Ridge*: gene components predicted from the image by ridge regression, and the nearest
taken: no contrast. *From pixels*: a ViT of three blocks (64 px, patch 8, width 96) that starts from random weights and
learns from the alignment alone, all four losses; one seed. *Shuffled*: tiles dealt out anew within each section.

*Genes from the image*: ridge regression (`tl.expression_probe`, 250 genes) on the raw vectors and on the aligned ones, which have
seen the genes of the training sections, never those of the test section. *Regions of A1*: adjusted Rand index of k-means and
Gaussian mixtures with the pathologist's labels, aligned on the section itself without them; five seeds.

What this shows, on these sections: pairs find each other several times more often than chance on serial sections and on the same
patient, where the contrast is ahead of ridge on one and level with it on the other; on another patient three times chance, and
ridge is as good. Regions add nothing to patches. Aligned vectors read genes as well as raw ones (.23 for .21 to .22 on the other
patient, within the intervals) and somewhat better on the bulb (.42 for .38). A small transformer that has seen nothing but
eight hundred pairs reads genes as well as statistics made by hand, and finds pairs worse. On A1, whose image has 3.4 um per pixel, the
image says little of the regions, and every embedding of length one, of genes too, is worse than gene components; the fused
vector with its length is ahead of either by a mixture and behind by k-means: one section, and looked at after the labels.
A thousand spots of one or two patients can't order encoders; they can show that a link is found and that it isn't invented.
"""

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
from _alignment import C, bulb, cached, components, encoded, from_pixels, her2st, pairs, random_vit, recalls, shuffled
from _labels import DROP
from _representations import coordinates, rings
from anndata import AnnData
from sklearn.cluster import KMeans
from sklearn.linear_model import RidgeCV
from sklearn.preprocessing import StandardScaler

import histoscribe as hs

SEEDS = range(3)
ENCODERS = {"stain_stats": "X_stain", "random ViT-Ti/16": "X_random"}
PATCH, REGION, ViT = "stain_stats, patch", "stain_stats, regions", "ViT from scratch"


def _ridge(train: list[AnnData], test: AnnData) -> tuple[np.ndarray, np.ndarray]:
    """Gene components predicted from the image, and the true ones; each standardised by the training side."""
    x = StandardScaler().fit(np.vstack([one.obsm["X_stain"] for one in train]))
    y = StandardScaler().fit(np.vstack([one.obsm["X_genes"] for one in train]))
    model = RidgeCV(np.logspace(-1, 5, 13))
    model.fit(
        np.vstack([x.transform(one.obsm["X_stain"]) for one in train]),
        np.vstack([y.transform(one.obsm["X_genes"]) for one in train]),
    )
    predicted = model.predict(x.transform(test.obsm["X_stain"]))
    return predicted, y.transform(test.obsm["X_genes"])


def _models(train: list[AnnData]) -> dict[str, list[hs.nn.Model]]:
    """Models of each row, one a seed."""
    found = {
        PATCH: [cached(train, "X_stain", region=False, seed=seed) for seed in SEEDS],
        REGION: [cached(train, "X_stain", region=True, seed=seed) for seed in SEEDS],
        "random ViT-Ti/16, regions": [cached(train, "X_random", region=True, seed=seed) for seed in SEEDS],
        ViT: [from_pixels(train, seed=0)],
    }
    dealt = shuffled(train, "X_stain")
    return found | {f"{REGION}, shuffled": [cached(dealt, "X_stain", region=True, seed=seed) for seed in SEEDS]}


def _recall(train: list[AnnData], test: AnnData, models: dict[str, list[hs.nn.Model]]) -> pd.DataFrame:
    n = test.n_obs
    lines = [
        {
            "row": "chance",
            **{name: f"{k / n:.3f}" for name, k in zip(recalls(*_ridge(train, test)), (1, 1, 10, 10), strict=True)},
        }
    ]
    rows: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"ridge": [_ridge(train, test)]}
    rows |= {name: [pairs(test, model) for model in some] for name, some in models.items()}
    for name, found in rows.items():
        scores = pd.DataFrame([recalls(*pair) for pair in found])
        line = {"row": name, **{column: _said(scores[column]) for column in scores}}
        if name != "ridge":
            line["rank of the image"] = f"{np.mean([hs.metrics.effective_rank(image) for image, _ in found]):.0f}"
        lines.append(line)
    return pd.DataFrame(lines).fillna("")


def _said(values: pd.Series) -> str:
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=0):.3f}" if len(values) > 1 else "")


def _expression(
    train: list[AnnData], test: AnnData, models: dict[str, list[hs.nn.Model]], unit: str, names: tuple[str, str]
) -> pd.DataFrame:
    """Genes from raw and from aligned image vectors, which are put in slots of their own, made from images alone."""
    adatas = [*train, test]
    reps: dict[str, object] = {
        "training mean": _same(lambda adata: np.zeros((adata.n_obs, 1))),
        "coordinates": _same(coordinates),
    }
    reps |= dict(ENCODERS)
    reps["stain_stats, rings"] = _same(
        lambda adata: np.hstack([adata.obsm["X_stain"], *rings(adata, adata.obsm["X_stain"])])
    )
    for name, some in models.items():
        if "shuffled" in name:
            continue
        for one in adatas:
            one.obsm[f"V {name}"] = pairs(one, some[0])[0]
        reps[f"V: {name}"] = f"V {name}"
        if name == ViT:
            hs.tl.encode_image(adatas, some[0], key_added="trunk")
            reps[f"trunk: {name}"] = "trunk"
    frame = hs.tl.expression_probe(adatas, 250, use_rep=reps, patients=unit, folds={names[1]: names}, n_bootstrap=200)
    found = hs.metrics.summarize_expression(frame, by=("rep", "test")).set_index("rep")
    spread = frame.groupby("rep")[["low", "high"]].first()
    lines = [
        (rep, f"{found.loc[rep, 'pearson']:.2f} [{spread.loc[rep, 'low']:.2f}, {spread.loc[rep, 'high']:.2f}]")
        for rep in reps
    ]
    return pd.DataFrame(lines, columns=["input", "PCC"]).replace(r"^nan.*", "0 (constant)", regex=True)


def _same(encode: Callable[[AnnData], np.ndarray]) -> object:
    return lambda _: encode


def _regions(a1: AnnData) -> pd.DataFrame:
    """How well domains of each embedding agree with the pathologist's labels of a section."""
    encoded([a1], "stain_stats", "X_stain")
    components([a1], [])
    labelled = ~a1.obs["region"].isna().to_numpy() & ~a1.obs["region"].isin(DROP).to_numpy()
    truth = a1.obs["region"].astype(str)[labelled].to_numpy()
    scores: dict[str, list[tuple[float, float]]] = {}
    for seed in range(5):
        cached([a1], "X_stain", region=True, seed=seed, unit_length=False)
        with_length = a1.obsm["X_fused"]
        cached([a1], "X_stain", region=True, seed=seed)
        joint = np.hstack([a1.obsm["X_fused_image"], a1.obsm["X_fused_genes"]])
        reps = {
            "coordinates": coordinates(a1),
            "image (stain_stats, standardised)": StandardScaler().fit_transform(a1.obsm["X_stain"]),
            "genes (components)": a1.obsm["X_genes"],
            "G: genes in the joint space": a1.obsm["X_fused_genes"],
            "V: image in the joint space": a1.obsm["X_fused_image"],
            "V and G side by side": joint,
            "F: fused": a1.obsm["X_fused"],
            "F, unit_length=False": with_length,
        }
        for name, x in reps.items():
            scores.setdefault(name, []).append(_agreement(x[labelled], truth, seed))
    lines = [
        (name, *(f"{mean:.2f} ± {sd:.2f}" for mean, sd in zip(np.mean(found, 0), np.std(found, 0), strict=True)))
        for name, found in scores.items()
    ]
    return pd.DataFrame(lines, columns=["embedding", "k-means", "mixture"])


def _agreement(x: np.ndarray, truth: np.ndarray, seed: int) -> tuple[float, float]:
    n = len(np.unique(truth))
    holder = AnnData(obs=pd.DataFrame(index=[str(i) for i in range(len(x))]), obsm={"x": x.astype(np.float32)})
    hs.tl.domains_gmm(holder, n, use_rep="x", random_state=seed)
    labels = KMeans(n, n_init=10, random_state=seed).fit_predict(holder.obsm["x"])
    found = (hs.metrics.domain_agreement(one, truth)["ari"] for one in (labels, holder.obs["domain"].to_numpy()))
    return next(found), next(found)


def measure() -> dict[str, pd.DataFrame] | None:
    """Return tables of each split, and of the labelled section."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        breast, mouse, a1 = her2st(("B4", *C)), bulb(), her2st(("A1",))
        if breast is None or mouse is None or a1 is None:
            return None
        tables = {"Regions of A1": _regions(a1[0])}
        for adatas in (breast, mouse):
            for encoder, key in ((("stain_stats"), "X_stain"), (random_vit(), "X_random")):
                encoded(adatas, encoder, key)
        splits = {
            "Another patient: C2-C6 to B4": (breast[1:], breast[0], "patient", ("C", "B")),
            "Same patient: C2-C5 to C6": (breast[1:-1], breast[-1], "library_id", ([*C[:-1]], "C6")),
            "Same tissue: olfactory bulb 1-3 to 4": (
                mouse[:-1],
                mouse[-1],
                "library_id",
                (["MOB1", "MOB2", "MOB3"], "MOB4"),
            ),
        }
        for title, (train, test, unit, fold) in splits.items():
            components(train, [test])
            models = _models(train)
            tables[f"{title}: recall"] = _recall(train, test, models)
            tables[f"{title}: genes from the image"] = _expression(train, test, models, unit, fold)
        return tables
