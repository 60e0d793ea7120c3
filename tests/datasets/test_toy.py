"""The planted truth is really in the data, and nowhere else."""

import hashlib
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from anndata import AnnData
from scipy.stats import pearsonr
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import cross_val_predict

from histoscribe._errors import OptionError
from histoscribe.datasets import Plant, toy


def _image(adata: AnnData) -> np.ndarray:
    (library,) = adata.uns["spatial"].values()
    return library["images"]["hires"]


def _programme(adata: AnnData, name: str) -> np.ndarray:
    """Mean log expression of a gene set: what the genes show of a pathway."""
    counts = adata.layers["counts"].toarray()
    logged = np.log1p(1e4 * counts / counts.sum(axis=1, keepdims=True))
    return logged[:, adata.var_names.isin(adata.uns["truth"]["gene_sets"][name])].mean(axis=1)


def _clusters(adata: AnnData, k: int) -> np.ndarray:
    domains = [name for name in adata.uns["truth"]["gene_sets"] if name.startswith("DOMAIN")]
    shown = np.column_stack([_programme(adata, name) for name in domains])
    return KMeans(k, n_init=10, random_state=0).fit_predict(shown)


def test_same_seed_same_bytes_and_another_seed_another_section() -> None:
    def digest(seed: int) -> str:
        adata = toy(random_state=seed)
        return hashlib.sha256(adata.X.data.tobytes() + _image(adata).tobytes()).hexdigest()

    assert digest(0) == digest(0) != digest(1)


def test_genes_show_the_domains_at_signal_1_and_nothing_at_signal_0() -> None:
    for signal, low, high in ((1.0, 0.9, 1.0), (0.0, -0.1, 0.05)):
        adata = toy(plant=Plant(signal=signal))
        assert low <= adjusted_rand_score(adata.obs["true_domain"], _clusters(adata, 4)) <= high


def test_coordinates_do_not_show_the_domains() -> None:
    adata = toy()
    guess = KMeans(4, n_init=10, random_state=0).fit_predict(adata.obsm["spatial"])
    assert adjusted_rand_score(adata.obs["true_domain"], guess) < 0.15


def test_image_shows_the_domains_by_colour_and_density() -> None:
    for signal, expected in ((1.0, True), (0.0, False)):
        adata = toy(plant=Plant(signal=signal, n_links=0))
        image, tiles = _image(adata), adata.obsm["spatial"].astype(int)
        means = np.array([image[y - 50 : y + 50, x - 50 : x + 50].mean(axis=(0, 1)) for x, y in tiles])
        domain = adata.obs["true_domain"].cat.codes.to_numpy()
        within = sum(means[domain == k].var(axis=0).sum() * (domain == k).mean() for k in range(4))
        assert (within / means.var(axis=0).sum() < 0.4) == expected


def test_split_domains_need_both_modalities() -> None:
    adata = toy(plant=Plant(split=True, n_links=0))
    domain = adata.obs["true_domain"].cat.codes.to_numpy()
    assert adjusted_rand_score(domain % 2, _clusters(adata, 2)) > 0.9
    assert adjusted_rand_score(domain // 2, _clusters(adata, 2)) < 0.1
    x, y = adata.obsm["spatial"].astype(int).T
    eosin = np.array([_image(adata)[b - 50 : b + 50, a - 50 : a + 50, 1].mean() for a, b in zip(x, y, strict=True)])
    assert abs(pearsonr(eosin, domain // 2).statistic) > 0.8
    assert abs(pearsonr(eosin, domain % 2).statistic) < 0.15


def test_neighbours_predict_the_response_and_the_spot_itself_does_not() -> None:
    adata = toy(n_spots=900, plant=Plant(n_niches=1))
    source, response = (_programme(adata, f"NICHE_0_{part}") for part in ("SOURCE", "RESPONSE"))
    apart = np.linalg.norm(adata.obsm["spatial"][:, None] - adata.obsm["spatial"][None], axis=-1)
    ring = (apart > 0) & (apart < 120)
    around = (ring @ source) / ring.sum(axis=1)
    assert pearsonr(around, response).statistic > 0.8
    assert abs(pearsonr(source, response).statistic) < 0.2  # counts are shares: what one gains, others lose


def test_pair_product_follows_from_neither_alone_but_from_their_product() -> None:
    adata = toy(n_spots=900, plant=Plant(n_pairs=1))
    truth = adata.obsm["true_pathways"]
    a, b = truth["PAIR_0_A"].to_numpy(), truth["PAIR_0_B"].to_numpy()
    shown = _programme(adata, "PAIR_0_PRODUCT")
    linear = cross_val_predict(LinearRegression(), np.column_stack([a, b]), shown)
    assert pearsonr(a * b, shown).statistic > 0.9
    assert abs(pearsonr(linear, shown).statistic) < 0.35


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_links_are_seen_in_the_image(channel: int) -> None:
    adata = toy(plant=Plant(n_links=3, n_domains=1))
    activity = adata.obsm["true_pathways"][f"LINK_{channel}"].to_numpy()
    crops = [_image(adata)[y - 50 : y + 50, x - 50 : x + 50] for x, y in adata.obsm["spatial"].astype(int)]
    seen = {
        0: [(crop[..., 0] < 120).mean() for crop in crops],  # area of nuclei
        1: [crop[..., 0].min() * -1.0 for crop in crops],  # darkness of the darkest
        2: [(crop.min(axis=-1) > 240).mean() for crop in crops],  # holes
    }[channel]
    assert pearsonr(activity, seen).statistic > 0.5


def test_detail_is_finer_than_spots_and_spots_see_its_mean() -> None:
    adata = toy(plant=Plant(detail=True))
    fine, side = adata.uns["truth"]["detail"], adata.uns["truth"]["detail_um"]
    assert side < 55
    inside = []
    for x, y in adata.obsm["spatial"]:
        rows, columns = np.indices(fine.shape)
        disc = np.hypot((columns + 0.5) * side - x, (rows + 0.5) * side - y) <= 27.5
        inside.append(fine[disc].mean())
    assert pearsonr(inside, adata.obsm["true_pathways"]["DETAIL"]).statistic > 0.999
    assert pearsonr(inside, _programme(adata, "DETAIL")).statistic > 0.8


@pytest.mark.weekly
def test_slide_label_is_carried_by_few_spots_of_positive_slides() -> None:
    slides = toy(n_slides=4, plant=Plant(carriers=0.05))
    assert [s.uns["truth"]["slide_label"] for s in slides] == [False, True, False, True]
    assert [int(s.obs["true_carrier"].sum()) for s in slides] == [0, 20, 0, 20]
    shown, carrier = _programme(slides[1], "CARRIER"), slides[1].obs["true_carrier"].to_numpy()
    assert shown[carrier].min() > np.median(shown[~carrier])


def test_cell_types_are_shares_and_show_in_their_markers() -> None:
    adata = toy(plant=Plant(n_cell_types=3))
    share = adata.obsm["true_cell_types"]
    np.testing.assert_allclose(share.sum(axis=1), 1, rtol=1e-5)
    assert all(pearsonr(share[name], _programme(adata, name)).statistic > 0.8 for name in share)


def test_slides_differ_in_layout_and_patient() -> None:
    first, second = toy(n_slides=2)
    assert list(first.var_names) == list(second.var_names)
    assert first.obs["patient"].iloc[0] != second.obs["patient"].iloc[0]
    assert (first.obs["true_domain"].to_numpy() != second.obs["true_domain"].to_numpy()).mean() > 0.5


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"plant": Plant(n_null=100)}, "n_genes"),
        ({"n_spots": 3}, "toy"),
        ({"n_slides": 0}, "toy"),
    ],
)
def test_impossible_sections_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        toy(**options)


@pytest.mark.parametrize(
    "options", [{"n_domains": 3, "split": True}, {"n_links": 4}, {"carriers": 1.5}, {"signal": -1}, {"n_domains": 0}]
)
def test_impossible_plants_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=r"Plant\."):
        Plant(**options)


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning", "ignore:Consolidated metadata")
def test_everything_survives_h5ad_and_zarr(tmp_path: Path) -> None:
    adata = toy(n_spots=50, plant=Plant(n_cell_types=2, detail=True, carriers=0.1))
    adata.write_h5ad(tmp_path / "a.h5ad")
    adata.write_zarr(tmp_path / "a.zarr")
    for back in (anndata.read_h5ad(tmp_path / "a.h5ad"), anndata.read_zarr(tmp_path / "a.zarr")):
        assert list(back.uns["truth"]["gene_sets"]["DOMAIN_0"]) == adata.uns["truth"]["gene_sets"]["DOMAIN_0"]
        np.testing.assert_array_equal(_image(back), _image(adata))
        assert back.obsm["true_cell_types"].equals(adata.obsm["true_cell_types"])
