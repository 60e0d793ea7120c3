"""Sections that others read: image and scale arrive where the encoders look for them."""

import logging
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import tifffile
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image

import histoscribe as hs
from histoscribe._errors import FileError, ImageError, MissingError, OptionError, ScaleError
from histoscribe._sections import section_mpp
from histoscribe.io import link_image

MPP = 2.0  # 100 um between spots are 50 px
SIZE_UM = 40.0  # 20 px


def _place() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Column and row of a Visium array, and the pixels of its spots."""
    row, column = np.argwhere([[(r + c) % 2 == 0 for c in range(16)] for r in range(10)]).T
    return np.column_stack([column, row]), np.column_stack([40 + column * 25, 30 + row * 25 * np.sqrt(3)])


def _colours(n: int) -> NDArray[np.uint8]:
    return np.column_stack([np.arange(n) * 3, 250 - np.arange(n), np.full(n, 90)]).astype(np.uint8)


def painted() -> NDArray[np.uint8]:
    """Image with a square of its own colour around each spot, larger than the tile."""
    _, xy = _place()
    pixels = np.full((460, 480, 3), 235, dtype=np.uint8)
    for (x, y), colour in zip(xy.round().astype(int), _colours(len(xy)), strict=True):
        pixels[y - 16 : y + 16, x - 16 : x + 16] = colour
    return pixels


def visium(*pictures: str, array: bool = True, spatial: bool = True) -> AnnData:
    """Section as scanpy's and squidpy's readers leave it."""
    index, xy = _place()
    obs = pd.DataFrame({"in_tissue": 1}, index=[f"ACGT{k}-1" for k in range(len(xy))])
    if array:
        obs["array_row"], obs["array_col"] = index[:, 1], index[:, 0]
    adata = AnnData(np.ones((len(xy), 3), dtype=np.float32), obs=obs)
    adata.obsm["spatial"] = xy
    if spatial:
        factors = {"tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.25, "spot_diameter_fullres": 32.5}
        steps = {"hires": 2, "lowres": 4}
        images = {name: (painted()[:: steps[name], :: steps[name]] / 255).astype(np.float32) for name in pictures}
        adata.uns["spatial"] = {
            "V1": {"images": images, "scalefactors": factors, "metadata": {"software_version": "spaceranger-1.0.0"}}
        }
    return adata


def _encode(adata: AnnData) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* um per pixel", category=UserWarning)  # tiles and images are small
        hs.tl.encode_image(adata, "mean_rgb")


def assert_own_colours(adata: AnnData, *, exact: bool = True) -> None:
    hs.pp.tile(adata, size_um=SIZE_UM)
    _encode(adata)
    expected = _colours(adata.n_obs) / 255
    np.testing.assert_allclose(adata.obsm["X_image"], expected, atol=0.005 if exact else 0.02)


@pytest.fixture
def full(tmp_path: Path) -> Path:
    Image.fromarray(painted()).save(tmp_path / "full.png")
    return tmp_path / "full.png"


@pytest.mark.parametrize("pictures", [(), ("hires",), ("lowres",), ("hires", "lowres")])
@pytest.mark.parametrize("spatial", [True, False])
def test_a_file(pictures: tuple[str, ...], spatial: bool, full: Path) -> None:
    adata = visium(*pictures, spatial=spatial)
    link_image(adata, full)
    name = "V1" if spatial else "section"
    assert list(adata.uns["spatial"]) == [name]
    assert set(adata.obs["library_id"]) == {name}
    entry = adata.uns["spatial"][name]
    assert section_mpp(adata, name) == pytest.approx(MPP)
    assert entry["metadata"]["source_image_path"] == str(full.resolve())
    assert len(entry["metadata"]["image_sha256"]) == 64
    assert ("software_version" in entry["metadata"]) == spatial
    # A picture that was there stays; else there is one now, with its scale.
    made = not (spatial and "hires" in pictures)
    assert entry["images"]["hires"].shape == ((460, 480, 3) if made else (230, 240, 3))
    assert entry["scalefactors"]["tissue_hires_scalef"] == (1.0 if made else 0.5)
    assert entry["scalefactors"]["spot_diameter_fullres"] == (32.5 if spatial else pytest.approx(50, rel=0.01))
    assert_own_colours(adata)


@pytest.mark.parametrize(
    ("image", "pictures", "scale"), [("hires", ("hires", "lowres"), 0.5), ("lowres", ("lowres",), 0.25)]
)
def test_the_picture_that_is_there(image: str, pictures: tuple[str, ...], scale: float, tmp_path: Path) -> None:
    adata = visium(*pictures)
    adata.uns["spatial"]["V1"]["metadata"]["source_image_path"] = "/gone/before.tif"
    link_image(adata, image)
    assert adata.uns["spatial"]["V1"]["metadata"]["image_scale"] == scale
    assert adata.uns["spatial"]["V1"]["scalefactors"]["tissue_hires_scalef"] == scale
    adata.write_h5ad(tmp_path / "a.h5ad")
    assert_own_colours(ad.read_h5ad(tmp_path / "a.h5ad"), exact=False)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_an_array(scale: float) -> None:
    adata = visium("lowres")
    link_image(adata, painted()[:: int(1 / scale), :: int(1 / scale)], image_scale=scale)
    assert adata.uns["spatial"]["V1"]["scalefactors"]["tissue_hires_scalef"] == scale
    assert_own_colours(adata, exact=scale == 1)


def test_a_smaller_file(full: Path) -> None:
    Image.fromarray(painted()[::2, ::2]).save(full)
    adata = visium()
    link_image(adata, full, image_scale=0.5)
    assert adata.uns["spatial"]["V1"]["metadata"]["image_scale"] == 0.5
    assert_own_colours(adata, exact=False)


def test_who_says_the_scale(full: Path, caplog: pytest.LogCaptureFixture) -> None:
    tagged = full.with_suffix(".tif")
    tifffile.imwrite(tagged, painted(), resolution=(1e4 / 2.1, 1e4 / 2.1), resolutionunit="CENTIMETER")
    adata = visium()
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        link_image(adata, full)
    assert "2.0000 um per full-resolution pixel, by the pitch of the Visium array" in caplog.text
    link_image(adata, tagged)
    assert section_mpp(adata, "V1") == pytest.approx(2.1)
    link_image(adata, full, mpp=1.9)
    assert section_mpp(adata, "V1") == 1.9
    with pytest.warns(UserWarning, match="the Visium array says 2.0000 um per pixel, mpp= 0.5000; mpp= is believed"):
        link_image(adata, full, mpp=0.5)
    bare = visium(array=False)
    link_image(bare, mpp=1.7)
    assert "source_image_path" not in bare.uns["spatial"]["V1"]["metadata"]
    link_image(bare, full)
    assert section_mpp(bare, "V1") == 1.7


def test_a_square_array_is_not_visium(full: Path) -> None:
    adata = visium(array=False)
    adata.obs["array_row"], adata.obs["array_col"] = np.divmod(np.arange(adata.n_obs), 8)
    with pytest.raises(ScaleError, match="Pass mpp="):
        link_image(adata, full)
    staggered = visium()
    staggered.obsm["spatial"] = staggered.obs[["array_col", "array_row"]].to_numpy() * 25.0 + 20
    with pytest.raises(ScaleError, match="Pass mpp="):
        link_image(staggered, full)


def test_mirrored_positions_warn(full: Path) -> None:
    adata = visium()
    adata.obsm["spatial"] = adata.obsm["spatial"][:, ::-1].copy()
    with pytest.warns(UserWarning, match=r"x and y of obsm\['spatial'\] appear swapped"):
        link_image(adata, full)


def test_one_of_several_sections(full: Path) -> None:
    both = ad.concat({"a": visium(), "b": visium()}, label="library_id", index_unique="-")
    with pytest.raises(MissingError, match=r"expected one of \['a', 'b'\]. Pass library_id="):
        link_image(both, full)
    link_image(both, full, library_id="b")
    assert list(both.uns["spatial"]) == ["b"]
    assert section_mpp(both, "b") == pytest.approx(MPP)


@pytest.mark.parametrize("copy", [True, False])
def test_copy(copy: bool, full: Path) -> None:
    adata = visium("hires")
    entry = adata.uns["spatial"]["V1"]
    result = link_image(adata, full, copy=copy)
    assert list(entry["metadata"]) == ["software_version"]  # the caller's dicts are never written to
    assert ("library_id" in adata.obs) != copy
    assert (result is None) != copy
    written = adata if result is None else result
    assert written.uns["histoscribe"]["uns.spatial"]["by"] == "io.link_image"
    assert not np.shares_memory(written.X, adata.X) or not copy


def test_tiles_of_another_scale_are_reported(full: Path, caplog: pytest.LogCaptureFixture) -> None:
    adata = visium()
    link_image(adata, full)
    hs.pp.tile(adata)
    link_image(adata, full)
    assert "hs.pp.tile" not in caplog.text
    link_image(adata, full, mpp=1.9)
    assert "run hs.pp.tile(adata) again" in caplog.text


@pytest.mark.parametrize(
    ("pictures", "arguments", "error", "message"),
    [
        ((), {"image": "none.tif"}, FileError, "image .*none.tif.*found nothing"),
        (("lowres",), {"image": "hires"}, MissingError, r"images\['hires'\].*only \['lowres'\]"),
        (("hires", "lowres"), {"image": "lowres"}, OptionError, "Pass image='hires'"),
        (("hires",), {"image": "hires", "image_scale": 0.3}, OptionError, "image_scale: found 0.3; expected 0.5"),
        (("hires",), {"image": np.zeros((900, 900, 3), np.uint8)}, ImageError, "found 900 x 900.*480 x 460 by 'hires'"),
        ((), {"image": np.zeros((460, 300, 3), np.uint8)}, ImageError, "inside the image .*within 300 x 460"),
        ((), {"image": np.zeros((3, 460, 480), np.uint8)}, ImageError, "moveaxis"),
        ((), {"mpp": -1.0}, ScaleError, "mpp"),
        ((), {"image_scale": 2.0}, OptionError, "image_scale"),
        ((), {"library_id": "V2"}, MissingError, r"found 'V2'; expected one of \['V1'\]"),
    ],
)
def test_bad_inputs(pictures: tuple[str, ...], arguments: Any, error: type[Exception], message: str) -> None:
    adata = visium(*pictures)
    with pytest.raises(error, match=message):
        link_image(adata, **arguments)
    assert "library_id" not in adata.obs
    assert "histoscribe" not in adata.uns


def test_lists_and_unnamed_sections() -> None:
    with pytest.raises(OptionError, match="a list of 1; expected one AnnData"):
        link_image([visium()], mpp=1.0)
    adata = visium()
    adata.uns["spatial"]["V2"] = {}
    with pytest.raises(MissingError, match=r"obs\['library_id'\].*\['V1', 'V2'\]"):
        link_image(adata, mpp=1.0)


def test_a_real_section_of_squidpy(data: Path) -> None:
    adata = ad.read_h5ad(data / "squidpy_visium_tiny" / "test_data.h5ad")
    image = data / "squidpy_visium_tiny" / "test_img.jpg"
    with pytest.raises(ScaleError, match="Pass mpp="):
        link_image(adata, image)
    link_image(adata, image, mpp=0.73)
    assert_means(adata, np.asarray(Image.open(image)), scale=1.0)


@pytest.mark.weekly
def test_a_real_section_with_a_small_picture_alone(data: Path) -> None:
    adata = ad.read_h5ad(data / "dlpfc_151669" / "dlpfc_151669_144genes_scaled.h5ad")
    link_image(adata, "lowres")
    assert section_mpp(adata, "151669") == pytest.approx(0.7246, abs=1e-4)
    assert_means(adata, adata.uns["spatial"]["151669"]["images"]["lowres"], scale=0.045004502)


def assert_means(adata: AnnData, pixels: NDArray[np.uint8], *, scale: float) -> None:
    """Vectors are the mean colours of the whole pixels under some of the tiles."""
    hs.pp.tile(adata)
    _encode(adata)
    for row in range(0, adata.n_obs, max(1, adata.n_obs // 20)):
        x, y, w, h = (adata.obsm["tiles"][row] * scale).round().astype(int)
        box = pixels[max(y, 0) : y + h, max(x, 0) : x + w].reshape(-1, 3).mean(axis=0) / 255
        np.testing.assert_allclose(adata.obsm["X_image"][row], box, atol=0.04)
