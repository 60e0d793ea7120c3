"""What the public functions are called with: small prepared sections, what was fitted on them, files."""

import atexit
import json
import shutil
import tempfile
import warnings
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from anndata import AnnData
from PIL import Image

import histoscribe as hs

N_SPOTS, N_GENES = 60, 200
QUICK: dict[str, Any] = {"epochs": 1, "val_fraction": 0}


@cache
def raw() -> list[AnnData]:
    """Three sections of three patients: counts, positions, images."""
    sections: list[AnnData] = hs.datasets.toy(n_slides=3, n_spots=N_SPOTS, n_genes=N_GENES)
    for one in sections:
        one.X = one.X.astype(np.float32)
        one.layers["counts"] = one.X.copy()
    return sections


@cache
def ready() -> list[AnnData]:
    """The same after every step; not to be changed, take a copy."""
    sections = [one.copy() for one in raw()]
    for one in sections:
        hs.pp.tile(one)
        hs.pp.spatial_graph(one)
        hs.pp.tissue_mask(one)
        hs.tl.encode_image(one, "mean_rgb", cache=False)
        hs.tl.encode_genes(one, pca())
        hs.pp.tokenize_genes(one, vocabulary(), n_tokens=50)
        hs.pp.score_pathways(one, gene_sets())
        hs.tl.embed(one, fused())
        hs.tl.domains_gmm(one, 3)
        hs.pp.check_registration(one)
    return sections


def section() -> AnnData:
    """The first of them, to be called with."""
    return ready()[0].copy()


def others() -> list[AnnData]:
    """The other two."""
    return [one.copy() for one in ready()[1:]]


def gene_sets() -> dict[str, list[str]]:
    """Planted gene sets."""
    return {name: list(genes) for name, genes in raw()[0].uns["truth"]["gene_sets"].items()}


@cache
def vocabulary() -> Any:
    """Vocabulary of the sections."""
    return hs.pp.fit_vocabulary(raw())


@cache
def pca() -> Any:
    """Gene encoder of the sections."""
    return hs.tl.fit_pca(raw(), n_comps=8)


@cache
def fused() -> Any:
    """Fusion model of the first section."""
    one = raw()[0].copy()
    hs.pp.tile(one)
    hs.tl.encode_image(one, "mean_rgb", cache=False)
    hs.tl.encode_genes(one, pca())
    return hs.tl.fuse(one, config(), train=hs.nn.TrainConfig(**QUICK))


@cache
def attributed() -> Any:
    """Attribution of a spot of the first section."""
    one = section()
    given = {"encoder": "mean_rgb", "gene_model": pca(), "n_patches": 2}
    return hs.tl.attribute(one, fused(), one.obs_names[0], **given)


def config() -> Any:
    """A small fusion model."""
    return hs.nn.Contrastive(dim=8, hidden=16)


def genes() -> Any:
    """A small gene encoder."""
    return hs.nn.GeneEncoder(dim=8, depth=1, heads=2, hidden=8, n_tokens=20, intrinsic_share=0)


@cache
def stain() -> Any:
    """Stain of the first section."""
    return hs.pp.fit_stain(raw()[0], n_pixels=20_000)


@cache
def scale() -> Any:
    """Pathway scale of the sections."""
    return hs.pp.fit_pathway_scale(raw(), gene_sets())


@cache
def spatialdata() -> Any:
    """The first section as SpatialData."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return hs.io.to_spatialdata(ready()[0].copy())


def pixels() -> np.ndarray:
    """Image of the first section."""
    (entry,) = raw()[0].uns["spatial"].values()
    return np.array(entry["images"]["hires"])


@cache
def probed() -> pd.DataFrame:
    """Table of a linear probe."""
    table: pd.DataFrame = hs.tl.linear_probe(ready(), "true_domain", use_rep=["X_image", "X_genes"], min_spots=2)
    return table


def found(adata: AnnData) -> pd.DataFrame:
    """What two of its spots find in a section."""
    table: pd.DataFrame = hs.tl.retrieve(adata, list(adata.obs_names[:2]), fused(), k=3)
    return table


@cache
def predicted() -> pd.DataFrame:
    """Table of an expression probe."""
    table: pd.DataFrame = hs.tl.expression_probe(ready(), 20, use_rep="X_image")
    return table


@cache
def folder() -> Path:
    """Folder for files, gone at exit."""
    path = Path(tempfile.mkdtemp(prefix="histoscribe_battery_"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path


@cache
def picture() -> Path:
    """Image of the first section in a file."""
    path = folder() / "he.png"
    Image.fromarray(pixels()).save(path)
    return path


@cache
def slide() -> Path:
    """A part of it, as a bare slide."""
    path = folder() / "slide.png"
    Image.fromarray(pixels()[200:600, 200:700]).save(path)
    return path


@cache
def gmt() -> Path:
    """Gene sets in a file."""
    path = folder() / "sets.gmt"
    path.write_text("".join("\t".join([name, "planted", *genes]) + "\n" for name, genes in gene_sets().items()))
    return path


@cache
def stored() -> Path:
    """The first section in a file."""
    hs.io.write(section(), folder() / "section.h5ad")
    return folder() / "section.h5ad"


@cache
def model_folder() -> Path:
    """A saved model."""
    pca().save(folder() / "pca")
    return folder() / "pca"


@cache
def checkpoint() -> Path:
    """Tensors of a network."""
    import timm
    import torch
    from safetensors.torch import save_file

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tensors = timm.create_model("test_vit", num_classes=0).state_dict()
    save_file(tensors, folder() / "test_vit.safetensors")
    return folder() / "test_vit.safetensors"


@cache
def st_table() -> pd.DataFrame:
    """Counts of an array of the first technology: spots "7x4"."""
    rng = np.random.default_rng(0)
    names = [f"{x}x{y}" for x in range(2, 12) for y in range(3, 9)]
    return pd.DataFrame(rng.poisson(1.0, (len(names), 6)), index=names, columns=[f"G{k}" for k in range(6)])


@cache
def st_spots() -> pd.DataFrame:
    """Where its spots lie."""
    x, y = np.array([name.split("x") for name in st_table().index], dtype=int).T
    return pd.DataFrame({"x": x, "y": y, "pixel_x": 25.0 * x, "pixel_y": 25.0 * y, "selected": 1})


@cache
def spaceranger() -> Path:
    """Output folder of Space Ranger with the first section."""
    adata, outs = raw()[0], folder() / "outs"
    (outs / "spatial").mkdir(parents=True)
    (entry,) = adata.uns["spatial"].values()
    xy, mpp = np.asarray(adata.obsm["spatial"]), entry["metadata"]["mpp"]
    row, column = (np.unique(np.round(v / 10), return_inverse=True)[1] for v in (xy[:, 1], xy[:, 0]))
    table = pd.DataFrame({"barcode": [f"ACGT{k:03d}-1" for k in range(adata.n_obs)], "in_tissue": 1})
    table["array_row"], table["array_col"] = row, column
    table["pxl_row_in_fullres"], table["pxl_col_in_fullres"] = xy[:, 1], xy[:, 0]
    table.to_csv(outs / "spatial" / "tissue_positions.csv", index=False)
    factors = {"tissue_hires_scalef": 1.0, "tissue_lowres_scalef": 1.0, "spot_diameter_fullres": 65 / mpp}
    (outs / "spatial" / "scalefactors_json.json").write_text(json.dumps(factors))
    Image.fromarray(pixels()).save(outs / "spatial" / "tissue_hires_image.png")
    _matrix(outs / "filtered_feature_bc_matrix.h5", table["barcode"].tolist(), adata)
    return outs


def _matrix(path: Path, barcodes: list[str], adata: AnnData) -> None:
    by_spot = adata.X.astype(np.int32).T.tocsc()
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = np.array(barcodes, dtype="S")
        group["data"], group["indices"], group["indptr"] = by_spot.data, by_spot.indices, by_spot.indptr
        group["shape"] = by_spot.shape
        features = group.create_group("features")
        features["id"] = np.array([f"ENSG{k:011d}" for k in range(adata.n_vars)], dtype="S")
        features["name"] = np.array(adata.var_names.tolist(), dtype="S")
        features["feature_type"] = np.array(["Gene Expression"] * adata.n_vars, dtype="S")
        features["genome"] = np.array(["GRCh38"] * adata.n_vars, dtype="S")


def fields_of(made: Any) -> dict[str, Any]:
    """What a dataclass was made of."""
    return {field.name: getattr(made, field.name) for field in fields(made)}


def source() -> Any:
    """Pixels of an image, as SlideImage takes them."""
    from histoscribe.io.image._array import open_array

    return open_array(pixels())


def by_patient(seed: int) -> pd.Series:
    """A score for each of eight patients."""
    return pd.Series(np.random.default_rng(seed).random(8), index=[f"P{k}" for k in range(8)])
