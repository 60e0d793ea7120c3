"""Tissue masks: what is coloured is tissue, what is painted is not, and shares are areas."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
from anndata import AnnData
from numpy.typing import NDArray
from skimage.draw import disk

import histoscribe as hs
from histoscribe._errors import ImageError, MissingError, OptionError
from histoscribe.io._tissue import tissue_mask_of

BLACK, GREEN, BLUE, TEAL, RED = (15, 15, 20), (20, 120, 60), (25, 50, 170), (30, 160, 170), (200, 30, 40)


def picture(background: Any = 238) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Half pale, half dark round piece of tissue on glass, and its mask."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(0, 2, (400, 500, 3)) + background
    mask = np.zeros((400, 500), dtype=bool)
    mask[disk((200, 250), 120)] = True
    pixels[mask] = rng.normal((225, 180, 215), 8, (mask.sum(), 3))
    dark = mask & (np.arange(500) > 250)
    pixels[dark] = rng.normal((120, 80, 150), 15, (dark.sum(), 3))
    return pixels.clip(0, 255).astype(np.uint8), mask


def section(pixels: NDArray[np.uint8], *, n: int = 40, side: float = 30.0, name: str = "s") -> AnnData:
    """Section of spots on an image, with tiles of some pixels."""
    rng = np.random.default_rng(1)
    adata = AnnData(np.ones((n, 2), dtype=np.float32))
    adata.obsm["spatial"] = rng.uniform([0, 0], [pixels.shape[1], pixels.shape[0]], (n, 2))
    hs.io.link_image(adata, pixels, mpp=1.0, library_id=name)
    hs.pp.tile(adata, size_um=side)
    return adata


def overlap(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_share_of_each_tile_is_the_area_of_tissue_in_it() -> None:
    pixels, mask = picture()
    adata = section(pixels)
    adata.obsm["tiles"] = np.round(adata.obsm["tiles"])
    hs.pp.tissue_mask(adata)
    truth = []
    for x, y, w, h in adata.obsm["tiles"].astype(int):
        truth.append(mask[max(y, 0) : y + h, max(x, 0) : x + w].sum() / (w * h))
    np.testing.assert_allclose(adata.obs["tissue_fraction"], truth, atol=0.06)
    assert adata.obs["tissue_fraction"].dtype == np.float32


def test_the_mask_is_a_picture_in_the_frame_of_the_spots() -> None:
    pixels, mask = picture()
    adata = section(pixels)
    hs.pp.tissue_mask(adata, max_size=250)
    entry = adata.uns["spatial"]["s"]
    drawn, scale = entry["images"]["tissue_mask"], entry["scalefactors"]["tissue_tissue_mask_scalef"]
    assert scale == pytest.approx(0.5)
    assert drawn.shape == (200, 250, 3)
    assert drawn.dtype == np.uint8
    assert set(np.unique(drawn)) == {0, 255}
    assert overlap(drawn[..., 0] > 0, mask[::2, ::2]) > 0.96
    assert set(entry["images"]) == {"hires", "tissue_mask"}
    assert entry["metadata"]["mpp"] == 1.0


@pytest.mark.parametrize("ink", [BLACK, GREEN, BLUE, TEAL])
def test_pen_is_no_tissue_and_does_not_hide_any(ink: tuple[int, int, int]) -> None:
    pixels, mask = picture()
    pen = np.zeros_like(mask)
    pen[20:34, 30:470] = pen[60:340, 60:72] = True
    pixels[pen] = ink
    found = tissue_mask_of(pixels)
    assert not found[pen].any()
    assert overlap(found, mask) > 0.96


def test_red_pen_is_taken_for_tissue() -> None:
    """Blood is as red; the documentation says so."""
    pixels, mask = picture()
    pixels[20:40, 30:470] = RED
    found = tissue_mask_of(pixels)
    assert found[25:35, 50:450].all()
    assert found[mask].mean() > 0.96


def test_a_picture_full_of_tissue_is_all_tissue() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal((200, 130, 190), 10, (300, 300, 3))
    pixels[:, 150:] = rng.normal((110, 70, 150), 10, (300, 150, 3))  # Otsu alone would divide it here
    assert tissue_mask_of(pixels.clip(0, 255).astype(np.uint8)).mean() > 0.99
    assert tissue_mask_of(np.full((50, 60, 3), (200, 130, 190), dtype=np.uint8)).all()


@pytest.mark.parametrize("background", [255, 238, (220, 207, 223)])
def test_glass_may_be_tinted(background: Any) -> None:
    pixels, mask = picture(background)
    assert overlap(tissue_mask_of(pixels), mask) > 0.95


@pytest.mark.parametrize("value", [0, 255, 128])
def test_no_tissue_is_a_defined_result_and_a_warning(value: int) -> None:
    adata = section(np.full((100, 120, 3), value, dtype=np.uint8), side=10)
    adata.obsm["spatial"][2] = np.nan
    hs.pp.tile(adata, size_um=10)
    with pytest.warns(UserWarning, match="section 's': no tissue"):
        hs.pp.tissue_mask(adata)
    share = adata.obs["tissue_fraction"].to_numpy()
    assert np.isnan(share[2])
    assert (np.delete(share, 2) == 0).all()
    assert adata.uns["spatial"]["s"]["images"]["tissue_mask"].max() == 0


def test_spots_without_a_tile_stay_and_have_no_share() -> None:
    adata = section(picture()[0])
    whole = hs.pp.tissue_mask(adata, copy=True)
    assert isinstance(whole, AnnData)
    adata.obsm["tiles"][[3, 5]] = np.nan
    hs.pp.tissue_mask(adata)
    np.testing.assert_array_equal(np.flatnonzero(adata.obs["tissue_fraction"].isna()), [3, 5])
    kept = np.delete(np.arange(40), [3, 5])
    np.testing.assert_array_equal(adata.obs["tissue_fraction"].iloc[kept], whole.obs["tissue_fraction"].iloc[kept])


def test_each_section_has_its_own_mask() -> None:
    pixels, _ = picture()
    one, other = section(pixels), section(pixels[::-1, ::-1], name="t")
    both = ad.concat({"s": one, "t": other}, label="library_id", index_unique="-")
    both.uns["spatial"] = {**one.uns["spatial"], **other.uns["spatial"]}
    hs.pp.tissue_mask(both)
    hs.pp.tissue_mask([one, other])
    shares = np.concatenate([one.obs["tissue_fraction"], other.obs["tissue_fraction"]])
    np.testing.assert_array_equal(both.obs["tissue_fraction"], shares)
    assert set(both.uns["histoscribe"]["obs.tissue_fraction"]["hashes"]) == {"image.s", "image.t"}


def test_bad_inputs_leave_everything_as_it_was() -> None:
    adata = section(picture()[0])
    del adata.obsm["tiles"]
    with pytest.raises(MissingError, match=r"hs\.pp\.tile"):
        hs.pp.tissue_mask(adata)
    hs.pp.tile(adata)
    with pytest.raises(OptionError, match="max_size"):
        hs.pp.tissue_mask(adata, max_size=0)
    with pytest.raises(OptionError, match=r"boxes \(n, 4\)"):
        hs.pp.tissue_mask(adata, tiles_key="spatial")
    with pytest.raises(OptionError, match="key_added"):
        hs.pp.tissue_mask(adata, key_added="domain")
    del adata.uns["spatial"]["s"]["images"]["hires"]
    with pytest.raises(ImageError, match="image of 's'"):
        hs.pp.tissue_mask(adata)
    assert "tissue_fraction" not in adata.obs
    assert adata.uns["spatial"]["s"]["images"] == {}


@pytest.mark.parametrize(("shape", "dtype"), [((60, 70, 5), np.uint8), ((60, 70), np.uint16), ((60, 70, 2), np.uint8)])
def test_images_that_are_not_bright_field_are_refused(shape: tuple[int, ...], dtype: type) -> None:
    adata = AnnData(np.ones((3, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.full((3, 2), 30.0)
    with pytest.warns(UserWarning, match="need 8-bit RGB"):
        hs.io.link_image(adata, np.ones(shape, dtype=dtype), mpp=1.0, library_id="s")
    hs.pp.tile(adata, size_um=10)
    with pytest.raises(ImageError, match="8-bit RGB or 8-bit grey"):
        hs.pp.tissue_mask(adata)


def test_grey_images_are_read_by_darkness() -> None:
    pixels, mask = picture()
    adata = AnnData(np.ones((3, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.array([[250.0, 200], [20, 20], [310, 200]])
    with pytest.warns(UserWarning, match="need 8-bit RGB"):
        hs.io.link_image(adata, pixels[..., 1], mpp=1.0, library_id="s")
    hs.pp.tile(adata, size_um=10)
    hs.pp.tissue_mask(adata)
    assert overlap(adata.uns["spatial"]["s"]["images"]["tissue_mask"][..., 0] > 0, mask) > 0.4
    np.testing.assert_allclose(adata.obs["tissue_fraction"].iloc[[1, 2]], [0, 1])


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_everything_survives_writing(tmp_path: Path) -> None:
    adata = section(picture()[0])
    hs.pp.tissue_mask(adata)
    adata.write_h5ad(tmp_path / "s.h5ad")
    back = ad.read_h5ad(tmp_path / "s.h5ad")
    np.testing.assert_array_equal(back.obs["tissue_fraction"], adata.obs["tissue_fraction"])
    entry = back.uns["spatial"]["s"]
    np.testing.assert_array_equal(entry["images"]["tissue_mask"], adata.uns["spatial"]["s"]["images"]["tissue_mask"])


@pytest.mark.filterwarnings("ignore")  # squidpy's own
def test_squidpys_mask_is_the_same_where_it_finds_the_tissue(data: Path) -> None:
    """On the slide whose corners are glass; where they are tissue or black, squidpy takes glass for tissue."""
    im = pytest.importorskip("squidpy").experimental.im
    if not hasattr(im, "detect_tissue"):
        pytest.skip("this squidpy has no detect_tissue")
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel

    with hs.io.open_image(data / "wsi_small" / "tcga-cr-7395-01a-01-ts1.svs") as image:
        pixels, _ = image.thumbnail(1000)
    sdata = SpatialData(images={"he": Image2DModel.parse(np.moveaxis(pixels, 2, 0), dims=("c", "y", "x"))})
    theirs = np.asarray(im.detect_tissue(sdata, "he", inplace=False)) > 0
    assert overlap(tissue_mask_of(pixels), theirs) > 0.95
