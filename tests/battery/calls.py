"""How each public function is called. A function that has no entry here fails test_entries.py."""

from dataclasses import replace
from typing import Any

import numpy as np
from anndata import AnnData

import histoscribe as hs

from . import material as m
from .call import Call, Reads


def _vectors(adata: AnnData, slot: str = "X_genes") -> np.ndarray:
    return np.array(adata.obsm[slot])


def _similarity(adata: AnnData, returned: Any) -> dict[str, bool]:
    """What fusion must still do when spots come in another order: pair the two vectors of a spot better than chance."""
    train = hs.nn.TrainConfig(epochs=60, val_fraction=0)
    hs.tl.fuse(adata, m.config(), train=train, key_added="X_new")
    found = hs.metrics.recall_at_k(adata.obsm["X_new_image"], adata.obsm["X_new_genes"], 6)
    return {"twice chance": found > 12 / adata.n_obs}


def _subspace(adata: AnnData, returned: Any) -> np.ndarray:
    """What principal components span: distances between spots, which do not know signs."""
    hs.tl.encode_genes(adata, returned, key_added="X_new")
    x = np.asarray(adata.obsm["X_new"], dtype=np.float64)
    return np.sort(np.linalg.norm(x[:, None] - x, axis=-1).ravel())


def _unthinned(adata: AnnData, scale: Any) -> dict[str, Any]:
    """All but the levels at a share of the counts, which are drawn spot by spot."""
    full = int(np.argmax(scale.depths))
    return {**{k: getattr(scale, k) for k in ("genes", "means", "sds")}, "means of scores": scale.score_means[full]}


def _vocabulary(adata: AnnData, vocabulary: Any) -> dict[str, Any]:
    return dict(
        zip(vocabulary.genes, zip(vocabulary.means, vocabulary.n_nonzero, vocabulary.shares, strict=True), strict=True)
    )


def _what_it_learned_of(adata: AnnData, model: Any) -> dict[str, Any]:
    """What of a gene encoder cannot depend on the order of spots and genes; its weights do, as each spot is hidden otherwise."""
    vocabulary = hs.pp.Vocabulary.from_json(model.meta["vocabulary"])
    return {"genes": _vocabulary(adata, vocabulary), **{key: model.meta[key] for key in ("n_spots", "max_extent_um")}}


def _found(adata: AnnData, returned: Any) -> Any:
    """What all spots find; the query of the call is the first spot, whichever that is."""
    found = hs.tl.retrieve(adata, adata, m.fused(), k=3)
    return found.sort_values(["query", "rank"], ignore_index=True)


def _sizes(adata: AnnData, returned: Any) -> np.ndarray:
    """Which spots share a domain: counts of the table of labels against the planted ones."""
    return adata.obs.groupby(["domain", "true_domain"], observed=True).size().to_numpy()


COUNTS: tuple[Reads, ...] = ("counts",)
PLACES: tuple[Reads, ...] = ("positions",)
DRAWN: tuple[Reads, ...] = ("positions", "image", "labels")

CALLS: dict[str, Call] = {
    # io
    "io.SlideImage": Call(lambda a: {"source": m.source(), "mpp": 0.5}, returns="object"),
    "io.from_spatialdata": Call(lambda a: {"sdata": m.spatialdata()}, returns="section"),
    "io.link_image": Call(
        lambda a: {"adata": a, "image": m.picture(), "mpp": 2.0}, ("image",), section="adata", writes=True
    ),
    "io.open_image": Call(lambda a: {"source": a}, ("image",), "object", "source"),
    "io.read_gmt": Call(lambda a: {"path": m.gmt()}, ("files",), "object"),
    "io.read_st": Call(
        lambda a: {"counts": m.st_table(), "image": m.pixels(), "spots": m.st_spots(), "mpp": 8.0, "library_id": "s"},
        ("files",),
        "section",
    ),
    "io.read_visium": Call(lambda a: {"path": m.spaceranger(), "library_id": "s"}, ("files",), "section"),
    "io.read": Call(lambda a: {"path": m.stored()}, ("files",), "section"),
    "io.write": Call(
        lambda a: {"adata": a, "path": m.folder() / "written.h5ad"},
        ("counts", "positions"),
        section="adata",
        hands_on=True,
        slow=True,
    ),
    "io.tile_slide": Call(lambda a: {"path": m.slide(), "mpp": 2.0, "size_um": 200}, ("files",), "section"),
    "io.to_spatialdata": Call(
        lambda a: {"adata": a}, ("counts", "positions", "image"), "object", "adata", hands_on=True
    ),
    # datasets
    "datasets.Plant": Call(lambda a: {"n_domains": 3}, returns="object"),
    "datasets.hallmark": Call(lambda a: {"organism": "human"}, ("files",), "object", needs_data=True),
    "datasets.her2st": Call(lambda a: {"section": "C2"}, ("files",), "section", needs_data=True, slow=True),
    "datasets.mouse_olfactory_bulb": Call(lambda a: {"section": 1}, ("files",), "section", needs_data=True, slow=True),
    "datasets.toy": Call(lambda a: {"n_spots": 40, "n_genes": 200}, returns="section", draws=True),
    # pp
    "pp.PathwayScale": Call(lambda a: m.fields_of(m.scale()), returns="object"),
    "pp.Stain": Call(lambda a: m.fields_of(m.stain()), returns="object"),
    "pp.Vocabulary": Call(lambda a: m.fields_of(m.vocabulary()), returns="object"),
    "pp.align_affine": Call(
        lambda a: {"adata": a, "matrix": np.array([[0.0, -1, 900], [1, 0, 5], [0, 0, 1]])},
        PLACES,
        section="adata",
        writes=True,
        per_spot=True,
    ),
    "pp.check_registration": Call(
        lambda a: {"adata": a},
        ("counts", "positions", "image"),
        "table",
        "adata",
        writes=True,
        draws=True,
        slow=True,
    ),
    "pp.fit_affine": Call(
        lambda a: {
            "source": np.array(a.obsm["spatial"]),
            "target": np.array(a.obsm["spatial"]) * 2 + 5,
            "robust": True,
            "threshold": 3.0,
        },
        PLACES,
        "arrays",
        learns=True,
        draws=True,
    ),
    "pp.fit_pathway_scale": Call(
        lambda a: {"adatas": [a, *m.others()], "gene_sets": m.gene_sets()},
        COUNTS,
        "object",
        "adatas",
        learns=True,
        draws=True,
        invariant=_unthinned,
    ),
    "pp.fit_stain": Call(
        lambda a: {"source": a, "n_pixels": 20_000},
        ("image",),
        "object",
        "source",
        learns=True,
        draws=True,
        slow=True,
    ),
    "pp.fit_vocabulary": Call(
        lambda a: {"adatas": [a, *m.others()]}, COUNTS, "object", "adatas", learns=True, invariant=_vocabulary
    ),
    "pp.normalize_stain": Call(lambda a: {"image": m.pixels()[400:500, 400:520], "stain": m.stain()}, returns="arrays"),
    "pp.score_pathways": Call(
        lambda a: {"adata": a, "gene_sets": m.gene_sets()}, COUNTS, section="adata", writes=True, per_spot=True
    ),
    "pp.spatial_graph": Call(lambda a: {"adata": a}, PLACES, section="adata", writes=True, per_spot=True),
    "pp.tile": Call(lambda a: {"adata": a}, PLACES, section="adata", writes=True, per_spot=True),
    "pp.tissue_mask": Call(
        lambda a: {"adata": a, "max_size": 400}, ("image", "tiles"), section="adata", writes=True, per_spot=True
    ),
    "pp.tokenize_genes": Call(
        lambda a: {"adata": a, "vocabulary": m.vocabulary(), "n_tokens": 50},
        COUNTS,
        section="adata",
        writes=True,
        per_spot=True,
    ),
    # tl
    "tl.Attribution": Call(lambda a: m.fields_of(m.attributed()), returns="object"),
    "tl.attribute": Call(
        lambda a: {
            "adata": a,
            "model": m.fused(),
            "spot": min(a.obs_names, default="none"),
            "encoder": "mean_rgb",
            "gene_model": m.pca(),
            "n_patches": 2,
        },
        ("counts", "image", "tiles", "vectors"),
        "object",
        "adata",
        draws=True,
    ),
    "tl.domains_gmm": Call(
        lambda a: {"adata": a, "n_domains": 3}, ("vectors",), section="adata", writes=True, draws=True, invariant=_sizes
    ),
    "tl.domains_leiden": Call(
        lambda a: {"adata": a, "n_neighbors": 8},
        ("vectors",),
        section="adata",
        writes=True,
        draws=True,
        invariant=_sizes,
    ),
    "tl.embed": Call(
        lambda a: {"adata": a, "model": m.fused()}, ("vectors",), section="adata", writes=True, per_spot=True
    ),
    "tl.encode_genes": Call(
        lambda a: {"adata": a, "model": m.pca()}, COUNTS, section="adata", writes=True, per_spot=True
    ),
    "tl.encode_image": Call(
        lambda a: {"adata": a, "encoder": "mean_rgb", "cache": False},
        ("image", "tiles"),
        section="adata",
        writes=True,
        per_spot=True,
    ),
    "tl.expression_probe": Call(
        lambda a: {"adatas": [a, *m.others()], "genes": 20, "use_rep": "X_image"},
        ("counts", "vectors"),
        "table",
        "adatas",
        draws=True,
    ),
    "tl.fit_pca": Call(
        lambda a: {"adatas": [a, *m.others()], "n_comps": 5},
        COUNTS,
        "object",
        "adatas",
        learns=True,
        draws=True,
        invariant=_subspace,
    ),
    "tl.fuse": Call(
        lambda a: {"adatas": a, "config": m.config(), "train": hs.nn.TrainConfig(**m.QUICK), "key_added": "X_new"},
        ("vectors",),
        "object",
        "adatas",
        writes=True,
        learns=True,
        draws=True,
        invariant=_similarity,
    ),
    "tl.linear_probe": Call(
        lambda a: {
            "adatas": [a, *m.others()],
            "target": "true_domain",
            "use_rep": "X_genes",
            "min_spots": 2,
            "strengths": (0.1, 10.0),
        },
        ("vectors", "labels"),
        "table",
        "adatas",
        draws=True,
        slow=True,
    ),
    "tl.pretrain_genes": Call(
        lambda a: {"adatas": a, "config": m.genes(), "train": hs.nn.TrainConfig(**m.QUICK)},
        ("counts", "positions"),
        "object",
        "adatas",
        learns=True,
        draws=True,
        invariant=_what_it_learned_of,
        slow=True,
    ),
    "tl.retrieve": Call(
        lambda a: {"adata": a, "query": list(a.obs_names[:1]), "model": m.fused()},
        ("vectors",),
        "table",
        "adata",
        invariant=_found,
    ),
    # pl
    "pl.alignment": Call(lambda a: {"adata": a}, ("positions", "image"), "figure", "adata"),
    "pl.attribution": Call(lambda a: {"attribution": m.attributed()}, returns="figure"),
    "pl.history": Call(lambda a: {"model": m.fused()}, returns="figure"),
    "pl.panels": Call(
        lambda a: {"adata": a, "color": ["domain", "TOY0003"]}, (*DRAWN, "counts"), "figure", "adata", writes=True
    ),
    "pl.probe": Call(lambda a: {"frame": m.probed().copy()}, returns="figure"),
    "pl.retrieval": Call(lambda a: {"adata": a, "found": m.found(a)}, ("image", "tiles", "vectors"), "figure", "adata"),
    "pl.spatial": Call(lambda a: {"adata": a, "color": "domain"}, DRAWN, "figure", "adata", writes=True),
    "pl.tiles": Call(
        lambda a: {"adata": a, "groupby": "domain", "n": 3},
        ("image", "tiles", "labels"),
        "figure",
        "adata",
        writes=True,
        draws=True,
    ),
    # metrics
    "metrics.block_bootstrap": Call(
        lambda a: {
            "statistic": lambda x: float(x.mean()),
            "data": [_vectors(a)[:, 0]],
            "xy_um": np.array(a.obsm["spatial"]),
            "n_resamples": 20,
        },
        returns="numbers",
        draws=True,
    ),
    "metrics.compare_patients": Call(
        lambda a: {"scores": m.by_patient(0), "other": m.by_patient(1), "n_resamples": 100},
        returns="numbers",
        draws=True,
    ),
    "metrics.domain_agreement": Call(
        lambda a: {"labels": a.obs["domain"].to_numpy(), "truth": a.obs["true_domain"].to_numpy()}, returns="numbers"
    ),
    "metrics.effective_rank": Call(lambda a: {"x": _vectors(a)}, returns="numbers"),
    "metrics.moran_agreement": Call(
        lambda a: {
            "predicted": _vectors(a),
            "truth": _vectors(a) + 1,
            "graph": a.obsp["spatial_connectivities"].copy(),
        },
        returns="numbers",
    ),
    "metrics.morans_i": Call(
        lambda a: {"values": _vectors(a), "graph": a.obsp["spatial_connectivities"].copy()}, returns="table"
    ),
    "metrics.pearson_per_gene": Call(lambda a: {"predicted": _vectors(a), "truth": _vectors(a) ** 2}, returns="table"),
    "metrics.recall_at_k": Call(lambda a: {"a": _vectors(a), "b": _vectors(a) ** 2, "k": 3}, returns="numbers"),
    "metrics.spearman_per_gene": Call(lambda a: {"predicted": _vectors(a), "truth": _vectors(a) ** 2}, returns="table"),
    "metrics.summarize_expression": Call(lambda a: {"frame": m.predicted().copy()}, returns="table"),
    "metrics.top_k_overlap": Call(
        lambda a: {"predicted": _vectors(a), "truth": _vectors(a) ** 2, "k": 3}, returns="table"
    ),
    # nn
    "nn.PCA": Call(lambda a: {"n_comps": 5}, returns="object"),
    "nn.GeneEncoder": Call(lambda a: {"dim": 8, "heads": 2}, returns="object"),
    "nn.Contrastive": Call(lambda a: {"dim": 8}, returns="object"),
    "nn.Model": Call(
        lambda a: {"config": m.pca().config, "module": m.pca().module, "meta": dict(m.pca().meta)}, returns="object"
    ),
    "nn.TrainConfig": Call(lambda a: {"epochs": 2}, returns="object"),
    "nn.convert_weights": Call(
        lambda a: {"path": m.checkpoint(), "folder": m.folder() / "converted", "architecture": "test_vit", "mpp": 0.5},
        ("files",),
        "object",
    ),
    "nn.encoders": Call(lambda a: {}, returns="table"),
    "nn.load": Call(lambda a: {"path": m.model_folder()}, ("files",), "object"),
    "nn.load_encoder": Call(lambda a: {"name": "stain_stats"}, returns="object"),
}
CALLS = {name: replace(call, name=name) for name, call in CALLS.items()}
