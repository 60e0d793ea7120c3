"""Misregistered sections are caught, intact ones are not, and weak ones are said to be."""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import CountsError
from histoscribe.pp import align_affine, check_registration

from ..marks import weekly
from ..toys import cached_toy

PITCH = 100.0  # um and pixels of a toy


@cache
def _toy(seed: int) -> AnnData:
    return cached_toy(n_spots=225, n_genes=200, random_state=seed)


def toy(seed: int = 0) -> AnnData:
    return _toy(seed).copy()


@cache
def _real(section: str) -> AnnData:
    return hs.datasets.her2st(section)


def real(section: str) -> AnnData:
    return _real(section).copy()


def table(adata: AnnData) -> pd.DataFrame:
    return check_registration(adata).set_index("check")


def size(adata: AnnData) -> tuple[int, int]:
    with hs.io.open_image(adata) as image:
        return image.width, image.height


def moved(adata: AnnData, matrix: Any) -> AnnData:
    matrix = np.asarray(matrix, dtype=float)
    adata.obsm["spatial"] = adata.obsm["spatial"] @ matrix[:, :2].T + matrix[:, 2]
    return adata


def faults(width: float, height: float, pitch: float) -> dict[str, NDArray[np.float64]]:
    """Maps that plant one fault each."""
    return {
        "shift": np.array([[1, 0, 0.8 * pitch], [0, 1, -0.6 * pitch]]),
        "mirror": np.array([[-1, 0, width], [0, 1, 0]]),
        "swap": np.array([[0, 1, 0], [1, 0, 0.0]]),
        "turn": np.array([[0, -1, width], [1, 0, 0.0]]),
        "large": np.array([[1.1, 0, 0], [0, 1.1, 0]]),
        "small": np.array([[0.9, 0, 0], [0, 0.9, 0]]),
    }


CAUGHT_BY = {
    "shift": ("shift", None),
    "mirror": ("orientation", "mirrored left to right"),
    "swap": ("orientation", "x and y swapped"),
    "turn": ("orientation", "turned by 90 degrees counterclockwise"),
    "large": ("scale", "positions too large"),
    "small": ("scale", "positions too small"),
}


@pytest.mark.parametrize("seed", [0, *weekly(1)])
def test_an_intact_section_fits(seed: int) -> None:
    found = table(toy(seed))
    assert found.loc["verdict", "ok"]
    assert found.loc["verdict", "found"] == "image and spots fit"
    assert found.loc["shift", "value"] <= PITCH / 4
    assert found.loc["pitch", "value"] == pytest.approx(PITCH)
    assert (found["ok"].fillna(True)).all()


@cache
def checked(fault: str) -> tuple[AnnData, pd.DataFrame]:
    """Section with a planted fault, and what the check says."""
    adata = toy(2)
    return adata, table(moved(adata, faults(*size(adata), PITCH)[fault]))


@pytest.mark.parametrize("fault", ["shift", "large", *weekly("mirror", "swap", "turn", "small")])
def test_a_planted_fault_is_caught_named_and_mended(fault: str) -> None:
    adata, found = checked(fault)
    adata, right = adata.copy(), toy(2).obsm["spatial"]
    check, name = CAUGHT_BY[fault]
    assert found.loc[check, "ok"] == False  # noqa: E712
    assert found.loc["verdict", "ok"] == False  # noqa: E712
    assert name is None or found.loc[check, "found"] == name
    align_affine(adata, {"toy_1": adata.uns["registration"]["toy_1"]["matrix"]})
    assert np.abs(adata.obsm["spatial"] - right).max() < 0.75 * PITCH
    assert table(adata).loc[check, "ok"]


@pytest.mark.parametrize(("fault", "first"), [("large", "scale"), ("mirror", "orientation")])
def test_no_advice_leads_away_from_what_comes_first(fault: str, first: str) -> None:
    adata, found = checked(fault)
    wrong = found[(found["ok"] == False).fillna(False)]  # noqa: E712
    assert {first, "verdict"} <= set(wrong.index)
    assert not wrong["advice"].str.contains("link_image|join counts").any()
    assert (
        wrong.loc[~wrong.index.isin([first, "verdict", "handedness", "tissue"]), "advice"]
        == f"The {first} comes first."
    ).all()
    assert "shift" not in adata.uns["registration"]["toy_1"]  # of spots that lie elsewhere


def test_a_wrong_scale_is_caught_by_the_pitch_though_positions_fit() -> None:
    adata = toy()
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] *= 1.1
    found = table(adata)
    assert found.loc["pitch", "value"] == pytest.approx(110)
    assert found.loc["pitch", "ok"] == False  # noqa: E712
    assert found.loc["scale", "ok"]
    assert "mpp=1)" in found.loc["verdict", "advice"]
    assert found.loc["verdict", "ok"] == False  # noqa: E712


@pytest.mark.weekly
@pytest.mark.parametrize("factor", [0.5, 1.5, 2])
def test_a_grossly_wrong_scale_is_no_fit(factor: float) -> None:
    adata = toy()
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] *= factor
    found = table(adata)
    assert found.loc["pitch", "value"] == pytest.approx(100 * factor)
    assert found.loc["verdict", "ok"] == False  # noqa: E712
    assert "mpp=1)" in found.loc["verdict", "advice"]


@pytest.mark.parametrize("layout", ["hexagonal", "square", "staggered"])
@pytest.mark.parametrize("factor", [0.5, 1.5, 2])
def test_the_layout_of_array_indices_tells_the_array_whatever_the_scale(layout: str, factor: float) -> None:
    adata = array(hexagonal=layout == "hexagonal", jitter=2.0)
    pitch = {"hexagonal": 100.0, "square": 200.0, "staggered": 141.4}[layout]
    if layout == "staggered":
        adata = adata[(adata.obs["array_col"] + adata.obs["array_row"]) % 2 == 0].copy()
        adata.obsm["spatial"] /= 2  # from 200 um a step to 100: 141.4 um along the diagonal
    adata.uns["spatial"]["s"]["metadata"]["mpp"] *= factor
    found = table(adata)
    assert found.loc["pitch", "value"] == pytest.approx(pitch * factor, rel=0.01)
    assert found.loc["pitch", "ok"] == False  # noqa: E712
    advice = found.loc["pitch", "advice"]
    assert float(advice.split("mpp=")[1].split(")")[0]) == pytest.approx(2, rel=0.01)
    assert "Visium 100, Spatial Transcriptomics 200, Spatial Transcriptomics 2K 141.4 um" in advice
    assert found.loc[["places", "stretch", "handedness"], "ok"].all()
    assert found.loc["verdict", "ok"] == False  # noqa: E712


@pytest.mark.parametrize("seed", [0, *weekly(1)])
def test_without_a_signal_nothing_is_claimed(seed: int) -> None:
    adata = cached_toy(n_spots=225, n_genes=200, plant=hs.datasets.Plant(signal=0), random_state=seed)
    found = table(adata)
    assert found.loc[["orientation", "scale", "shift", "verdict"], "ok"].isna().all()
    assert found.loc["verdict", "found"].startswith("cannot tell")
    shifted = table(moved(adata, [[1, 0, PITCH], [0, 1, 0]]))
    assert shifted.loc[["shift", "verdict"], "ok"].isna().all()


def array(*, hexagonal: bool, mpp: float = 2.0, jitter: float = 0.0) -> AnnData:
    """Section without an image on a whole array, a few places left out."""
    rows, columns = np.mgrid[:12, :20]
    index = np.column_stack([columns.ravel(), rows.ravel()])
    if hexagonal:
        index = index[index.sum(axis=1) % 2 == 0]
    um = index * ((50, 50 * 3**0.5) if hexagonal else (200, 200))
    index, um = index[5:], um[5:].astype(float)
    um += np.random.default_rng(0).normal(0, jitter, um.shape)
    adata = AnnData(np.ones((len(um), 3), dtype=np.float32))
    adata.obs["array_col"], adata.obs["array_row"] = index.T
    adata.obsm["spatial"] = um / mpp + 30
    adata.uns["spatial"] = {"s": {"metadata": {"mpp": mpp}}}
    return adata


@pytest.mark.parametrize(("hexagonal", "pitch"), [(True, 100.0), (False, 200.0)])
def test_array_and_positions_are_compared_in_um(hexagonal: bool, pitch: float) -> None:
    found = table(array(hexagonal=hexagonal, jitter=5.0))
    assert found.loc["pitch", "value"] == pytest.approx(pitch, rel=0.01)
    assert found.loc["pitch", "ok"]
    assert 5 < found.loc["places", "value"] < 25  # of a normal error of 5 um along each axis, 95 % lie within 12
    assert found.loc[["places", "stretch", "handedness"], "ok"].all()


def test_mixed_up_spots_mirrors_and_stretch_are_seen_without_an_image() -> None:
    adata = array(hexagonal=False)
    adata.obsm["spatial"] = adata.obsm["spatial"][np.random.default_rng(0).permutation(adata.n_obs)]
    assert table(adata).loc["places", "ok"] is not True
    mirrored = table(moved(array(hexagonal=True), [[0, 1, 0], [1, 0, 0]]))
    assert mirrored.loc["handedness", "found"] == "mirrored"
    assert mirrored.loc["verdict", "ok"] == False  # noqa: E712
    stretched = table(moved(array(hexagonal=False), [[1.06, 0, 0], [0, 1 / 1.06, 0]]))
    assert stretched.loc["stretch", "value"] == pytest.approx(100 * (1.06**2 - 1), rel=0.01)
    assert stretched.loc["stretch", "ok"] == False  # noqa: E712
    assert stretched.loc["verdict", "ok"] is pd.NA


def test_another_platforms_grid_is_no_error() -> None:
    adata = array(hexagonal=False)
    adata.obsm["spatial"] *= 0.04  # bins of 8 um
    found = table(adata)
    assert found.loc["pitch", "ok"] is pd.NA
    assert found.loc["verdict", "ok"] is pd.NA


def test_what_is_missing_is_said() -> None:
    bare = toy()
    del bare.uns["spatial"]["toy_1"]["images"]["hires"]
    found = table(bare)
    assert found.loc[["tissue", "orientation", "shift", "verdict"], "ok"].isna().all()
    assert "No image" in found.loc["shift", "advice"]
    slide = toy()[:, :0].copy()
    assert "No counts" in table(slide).loc["shift", "advice"]
    few = toy()[:20].copy()
    assert "too few" in table(few).loc["shift", "advice"]
    unscaled = toy()
    del unscaled.uns["spatial"]["toy_1"]["metadata"]["mpp"]
    found = table(unscaled)
    assert found.loc["pitch", "ok"] is pd.NA
    assert found.loc["shift", "unit"] == "px"
    assert found.loc["verdict", "ok"]


def test_a_named_layer_without_counts_is_an_error() -> None:
    with pytest.raises(CountsError, match="lognorm"):
        check_registration(toy(), layer="lognorm")


@pytest.mark.weekly
def test_the_same_call_gives_the_same_and_only_its_slots_are_written() -> None:
    adata = toy()
    before = adata.copy()
    first = check_registration(adata)
    pd.testing.assert_frame_equal(first, check_registration(adata))
    assert set(adata.uns) - set(before.uns) == {"registration"}
    assert set(adata.obs) - set(before.obs) == {"on_tissue"}
    np.testing.assert_array_equal(adata.obsm["spatial"], before.obsm["spatial"])


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning", "ignore:Consolidated metadata")
def test_several_sections_are_each_checked(tmp_path: Path) -> None:
    slides = cached_toy(n_slides=2, n_spots=200, n_genes=200)
    moved(slides[1], [[-1, 0, size(slides[1])[0]], [0, 1, 0]])
    found = check_registration(slides)
    verdicts = found[found["check"] == "verdict"].set_index("library_id")["ok"]
    assert verdicts["toy_1"]
    assert not verdicts["toy_2"]

    import anndata

    both = anndata.concat(slides, uns_merge="unique")
    joint = check_registration(both)
    pd.testing.assert_frame_equal(joint, found)
    both.write_h5ad(tmp_path / "both.h5ad")
    both.write_zarr(tmp_path / "both.zarr")
    for again in (anndata.read_h5ad(tmp_path / "both.h5ad"), anndata.read_zarr(tmp_path / "both.zarr")):
        kept, stored = (one.uns["registration"]["toy_1"]["shift"]["score"] for one in (both, again))
        np.testing.assert_array_equal(kept, stored)


def test_fine_bins_are_pooled() -> None:
    adata = toy()
    fine = AnnData(np.repeat(adata.layers["counts"].toarray(), 16, axis=0), var=adata.var)
    steps = np.stack(np.meshgrid([-36, -12, 12, 36], [-36, -12, 12, 36]), axis=-1).reshape(-1, 2)
    fine.obsm["spatial"] = (adata.obsm["spatial"][:, None] + steps).reshape(-1, 2)
    fine.uns["spatial"] = adata.uns["spatial"]
    found = table(fine)
    assert found.loc["shift", "ok"]
    assert found.loc["shift", "expected"] == "within 50 um"
    assert table(moved(fine, [[1, 0, 0], [0, 1, 1.2 * PITCH]])).loc["shift", "ok"] == False  # noqa: E712


@pytest.mark.parametrize("fault", [None, "mirror", *weekly("shift", "large")])
def test_a_real_section_is_told_from_its_misregistered_copies(fault: str | None, data: Path) -> None:
    adata = real("C3")
    if fault is not None:
        width, height = size(adata)
        pitch = 200 / adata.uns["spatial"]["C3"]["metadata"]["mpp"]
        moved(adata, faults(width, height, pitch)[fault])
    found = table(adata)
    assert found.loc["verdict", "ok"] == (fault is None)
    if fault not in (None, "shift"):
        assert found.loc[CAUGHT_BY[fault][0], "found"] == CAUGHT_BY[fault][1]


@pytest.mark.weekly
@pytest.mark.parametrize("factor", [0.5, 2])
def test_a_grossly_wrong_scale_of_a_real_section_is_no_fit(factor: float, data: Path) -> None:
    adata = real("C2")
    right = adata.uns["spatial"]["C2"]["metadata"]["mpp"]
    adata.uns["spatial"]["C2"]["metadata"]["mpp"] = right * factor
    found = table(adata)
    assert found.loc["pitch", "value"] == pytest.approx(200 * factor, rel=0.05)
    assert found.loc[["places", "stretch", "handedness"], "ok"].all()
    assert found.loc["verdict", "ok"] == False  # noqa: E712


@pytest.mark.weekly
def test_counts_of_other_spots_are_no_fit_though_spots_lie_on_tissue(data: Path) -> None:
    adata = hs.datasets.mouse_olfactory_bulb(1)
    xy = adata.obsm["spatial"]
    opposite = xy.min(axis=0) + xy.max(axis=0) - xy
    nearest = np.hypot(*(opposite[:, None] - xy[None]).transpose(2, 0, 1)).argmin(axis=1)
    adata.layers["counts"] = adata.layers["counts"][nearest]
    found = table(adata)
    assert found.loc[["orientation", "outline"], "ok"].all()
    assert found.loc["counts", "found"] == "turned by 180 degrees"
    assert found.loc["verdict", "ok"] == False  # noqa: E712
    adata.layers["counts"] = adata.layers["counts"][np.random.default_rng(0).permutation(adata.n_obs)]
    found = table(adata)
    assert found.loc["outline", "ok"]
    assert found.loc[["counts", "verdict"], "ok"].isna().all()
