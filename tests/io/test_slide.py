"""Bare slides: the tiles lie on the tissue, at the size asked for."""

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import tifffile
from PIL import Image
from skimage.draw import disk

from histoscribe._errors import FileError, ImageError, OptionError, ScaleError
from histoscribe.io import open_image, tile_slide
from histoscribe.io._grid import grid, tissue_share
from histoscribe.io._tissue import tissue_mask_of


def picture(*, background: int = 238, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """H&E-like picture of one round piece of tissue, and its mask."""
    rng = np.random.default_rng(seed)
    pixels = np.clip(rng.normal(background, 3, (600, 800, 1)) + rng.normal(0, 1, (600, 800, 3)), 0, 255)
    mask = np.zeros((600, 800), dtype=bool)
    mask[disk((300, 350), 180)] = True
    pixels[mask] = rng.normal((190, 120, 180), 15, (mask.sum(), 3))
    for centre in rng.integers(200, 400, (80, 2)):
        pixels[disk(tuple(centre), 4)] = (70, 40, 120)
    return np.clip(pixels, 0, 255).astype(np.uint8), mask


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize("background", [255, 238, 200])
def test_the_mask_is_the_tissue(background: int) -> None:
    pixels, mask = picture(background=background)
    assert overlap(tissue_mask_of(pixels), mask) > 0.97


def test_painted_black_is_background_and_dark_nuclei_are_not() -> None:
    pixels, mask = picture()
    pixels[~mask] = 0
    pixels[disk((300, 350), 2)] = 0
    found = tissue_mask_of(pixels)
    assert overlap(found, mask) > 0.95
    assert found[300, 350]


@pytest.mark.parametrize("value", [0, 255, 128])
def test_an_empty_slide_has_no_tissue(value: int) -> None:
    rng = np.random.default_rng(0)
    noisy = np.clip(value + rng.integers(-1, 2, (200, 300, 3)), 0, 255).astype(np.uint8)
    assert not tissue_mask_of(noisy).any()


def test_grey_pictures_are_read_by_darkness() -> None:
    pixels, mask = picture()
    assert overlap(tissue_mask_of(pixels.mean(axis=2).astype(np.uint8)), mask) > 0.95


@pytest.mark.parametrize(("width", "height", "side"), [(100, 70, 10), (101, 70, 10), (37, 5, 12.5)])
def test_the_grid_covers_the_image_without_overlap(width: int, height: int, side: float) -> None:
    boxes, columns = grid(width, height, side)
    covered = np.zeros((200, 200))
    for x, y, w, h in np.round(boxes * 2).astype(int):
        covered[y : y + h, x : x + w] += 1
    assert (covered[: height * 2, : width * 2] == 1).all()
    assert columns == int(np.ceil(width / side))
    assert len(boxes) == columns * int(np.ceil(height / side))


def test_tissue_share_is_the_area_of_the_mask_in_the_box() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((40, 50)) < 0.4
    boxes = (
        np.column_stack([rng.integers(-100, 960, 60), rng.integers(-100, 760, 60), rng.integers(6, 180, (60, 2))]) / 20
    )
    fine = np.kron(mask, np.ones((20, 20)))  # an explicit count on a twenty times finer mask
    for box, share in zip(boxes, tissue_share(mask, boxes), strict=True):
        x, y, w, h = np.round(box * 20)
        left, top = max(x, 0), max(y, 0)
        inside = fine[int(top) : int(max(y + h, 0)), int(left) : int(max(x + w, 0))].sum()
        assert share == pytest.approx(inside / (w * h), abs=1e-6)


def test_tissue_share_of_whole_pixels_is_exact() -> None:
    mask = np.random.default_rng(1).random((30, 30)) < 0.5
    boxes = np.array([[0, 0, 30, 30], [3, 4, 5, 6], [29, 29, 1, 1], [25, 0, 10, 10]], dtype=float)
    expected = [mask.mean(), mask[4:10, 3:8].mean(), mask[29, 29], mask[:10, 25:].sum() / 100]
    np.testing.assert_allclose(tissue_share(mask, boxes), expected, rtol=1e-6)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    path = tmp_path / "slide 1.tif"
    tifffile.imwrite(
        path,
        picture()[0],
        tile=(256, 256),
        photometric="rgb",
        resolution=(1e4 / 2, 1e4 / 2),
        resolutionunit="CENTIMETER",
    )
    return path


def test_tiles_lie_on_tissue(slide: Path) -> None:
    adata = tile_slide(slide, size_um=80)  # 40 px
    _, mask = picture()
    boxes, _ = grid(800, 600, 40.0)
    truth = np.array([mask[int(y) : int(y + 40), int(x) : int(x + 40)].mean() for x, y, _, _ in boxes])
    kept = {tuple(box) for box in adata.obsm["tiles"]}
    assert {tuple(box) for box in boxes[truth > 0.35]} <= kept
    assert not kept & {tuple(box) for box in boxes[truth < 0.15]}
    by_box = {tuple(box): share for box, share in zip(boxes, truth, strict=True)}
    shares = [by_box[tuple(box)] for box in adata.obsm["tiles"]]
    np.testing.assert_allclose(adata.obs["tissue_fraction"], shares, atol=0.1)


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
def test_the_contract(slide: Path, tmp_path: Path) -> None:
    adata = tile_slide(slide, size_um=80)
    assert adata.n_vars == 0
    tiles = adata.obsm["tiles"]
    np.testing.assert_array_equal(adata.obsm["spatial"], tiles[:, :2] + 20)
    np.testing.assert_array_equal(adata.obs[["array_col", "array_row"]], tiles[:, :2] / 40)
    assert adata.obs["tissue_fraction"].dtype == np.float32
    assert set(adata.obs["library_id"]) == {"slide 1"}
    metadata = adata.uns["spatial"]["slide 1"]["metadata"]
    assert metadata["mpp"] == pytest.approx(2.0)
    assert metadata["source_image_path"] == str(slide)
    assert adata.uns["histoscribe"]["obsm.tiles"]["hashes"]["image"] == metadata["image_sha256"]
    with open_image(adata) as image:
        assert image.mpp == pytest.approx(2.0)
        assert image.width == 800
    adata.write_h5ad(tmp_path / "slide.h5ad")
    back = ad.read_h5ad(tmp_path / "slide.h5ad")
    np.testing.assert_array_equal(back.obsm["tiles"], tiles)
    adata.write_zarr(tmp_path / "slide.zarr")
    assert ad.read_zarr(tmp_path / "slide.zarr").shape == adata.shape


def test_twice_is_the_same(slide: Path) -> None:
    one, other = tile_slide(slide), tile_slide(slide)
    np.testing.assert_array_equal(one.obsm["tiles"], other.obsm["tiles"])
    np.testing.assert_array_equal(one.obs["tissue_fraction"], other.obs["tissue_fraction"])


def test_a_given_mpp_sets_the_size(slide: Path) -> None:
    assert set(tile_slide(slide, mpp=1.0, size_um=80).obsm["tiles"][:, 2]) == {80.0}


def test_a_given_mpp_that_contradicts_the_file_is_reported(slide: Path, caplog: pytest.LogCaptureFixture) -> None:
    tile_slide(slide, mpp=1.0)
    assert "the file says 2.0000 um per pixel, mpp= 1.0000; mpp= is believed" in caplog.text
    assert "spots" not in caplog.text


def test_bad_inputs(slide: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="size_um"):
        tile_slide(slide, size_um=0)
    with pytest.raises(OptionError, match="min_tissue"):
        tile_slide(slide, min_tissue=2)
    with pytest.raises(ScaleError, match="mpp"):
        tile_slide(slide, mpp=-1)
    with pytest.raises(FileError, match="found nothing"):
        tile_slide(tmp_path / "none.svs")
    bare = tmp_path / "bare.png"
    Image.fromarray(picture()[0]).save(bare)
    with pytest.raises(ScaleError, match="Pass mpp= to tile_slide"):
        tile_slide(bare)
    empty = tmp_path / "empty.png"
    Image.fromarray(np.full((200, 200, 3), 255, dtype=np.uint8)).save(empty)
    with pytest.raises(ImageError, match="expected stained tissue"):
        tile_slide(empty, mpp=1.0)


@pytest.mark.weekly
def test_real_slides(data: Path) -> None:
    adata = tile_slide(data / "wsi_small" / "CMU-1-Small-Region.svs")
    assert 45 <= adata.n_obs <= 70  # of 140
    with pytest.raises(ScaleError):
        tile_slide(data / "wsi_small" / "tcga-cr-7395-01a-01-ts1.svs")
