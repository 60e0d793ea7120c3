"""Positions: what lies at a place of the image lies there in the patch, on every level of every kind of file."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from histoscribe.io import SlideImage, open_image
from histoscribe.io.image._array import open_array
from histoscribe.io.image._patches import region

SIZES = [(1003, 777), (640, 512), (901, 1001)]


def dots(width: int, height: int, n: int, rng: np.random.Generator, sigma: float) -> tuple[NDArray, NDArray]:
    """White image with dark Gaussian dots far from each other, and their centres."""
    y, x = np.mgrid[0:height, 0:width] + 0.5
    margin = 5 * sigma
    centres: list[NDArray] = []
    while len(centres) < n:
        new = rng.uniform([margin, margin], [width - margin, height - margin])
        if all(np.abs(new - old).max() > 12 * sigma for old in centres):
            centres.append(new)
    darkness = np.zeros((height, width))
    for cx, cy in centres:
        darkness += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * sigma**2))
    grey = np.rint(255 - 250 * np.minimum(darkness, 1)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2), np.array(centres)


def trimmed(image: NDArray, factor: int) -> NDArray:
    """Reduce as scanners do: means of whole blocks, the rest dropped."""
    height, width = (length // factor for length in image.shape[:2])
    blocks = image[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def stretched(image: NDArray, factor: float) -> NDArray:
    """Reduce as image libraries do: to a size, whatever the factor is then."""
    size = (int(image.shape[1] / factor), int(image.shape[0] / factor))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def write_pyramid(path: Path, levels: list[NDArray], *, subifds: bool) -> SlideImage:
    options: dict[str, Any] = {"tile": (64, 96), "photometric": "rgb", "compression": "zlib"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(levels[0], subifds=len(levels) - 1 if subifds else None, **options)
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, **options)
    return open_image(path)


def check_positions(image: SlideImage, centres: NDArray, rng: np.random.Generator, sigma: float) -> float:
    """Largest distance, in output pixels, of the dots in patches from where they belong."""
    worst = 0.0
    for step in sigma * np.array([0.06, 0.1, 0.137, 0.2, 0.29, 0.4, 0.53]):
        side = round(12 * sigma / step)
        extent = side * step
        corner = centres - extent / 2 + rng.uniform(-0.7, 0.7, centres.shape) * sigma
        boxes = np.hstack([corner, np.full_like(corner, extent)])
        for rows, batch in image.read_tiles(boxes, side):
            for row, patch in zip(rows, batch, strict=True):
                dark = np.maximum(0, 250.0 - patch[..., 0])
                y, x = np.mgrid[0:side, 0:side] + 0.5
                found = np.array([(x * dark).sum(), (y * dark).sum()]) / dark.sum()
                worst = max(worst, np.abs(found - (centres[row] - corner[row]) / step).max())
    return worst


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("subifds", [True, False])
@pytest.mark.parametrize(
    ("reduce", "factors", "tolerance"),
    [
        (trimmed, (2, 4), 0.5),
        (trimmed, (3,), 0.5),
        (stretched, (2, 4), 0.5),
        (stretched, (3,), 0.5),
        (stretched, (2.7, 5.2), 0.1),  # here the size alone says it
    ],
    ids=["trimmed halves", "trimmed thirds", "stretched halves", "stretched thirds", "stretched"],
)
def test_dots_in_pyramids(
    tmp_path: Path,
    size: tuple[int, int],
    subifds: bool,
    reduce: Callable[[NDArray, float], NDArray],
    factors: tuple[float, ...],
    tolerance: float,
) -> None:
    rng = np.random.default_rng(size[0])
    image, centres = dots(*size, 9, rng, sigma=10)
    levels = [image, *(reduce(image, factor) for factor in factors)]
    with write_pyramid(tmp_path / "dots.tif", levels, subifds=subifds) as opened:
        assert len(opened._source.levels) == len(levels)
        assert check_positions(opened, centres, rng, sigma=10) < tolerance


@pytest.mark.parametrize("size", SIZES)
def test_dots_in_other_sources(tmp_path: Path, size: tuple[int, int]) -> None:
    rng = np.random.default_rng(size[1])
    image, centres = dots(*size, 9, rng, sigma=10)
    Image.fromarray(image).save(tmp_path / "dots.jpg", quality=95)
    Image.fromarray(image).save(tmp_path / "dots.png")
    for source in (image, tmp_path / "dots.jpg", tmp_path / "dots.png"):
        with open_image(source) as opened:
            assert check_positions(opened, centres, rng, sigma=10) < 0.1


@pytest.mark.parametrize("turned", range(2, 9))
def test_dots_in_turned_jpegs(tmp_path: Path, turned: int) -> None:
    rng = np.random.default_rng(turned)
    upright, centres = dots(1003, 778, 6, rng, sigma=10)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[turned]  # Pillow's names of the inverse
    stored = Image.fromarray(upright).transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = turned
    stored.save(tmp_path / "turned.jpg", quality=95, exif=exif)
    with open_image(tmp_path / "turned.jpg") as opened:
        assert (opened.width, opened.height) == (1003, 778)
        assert check_positions(opened, centres, rng, sigma=10) < 0.1


@pytest.mark.parametrize("factors", [[2, 2], [3], [{"x": 2, "y": 4}]])
def test_dots_in_spatialdata_images(factors: list) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what spatialdata's dependencies say at import
        from spatialdata.models import Image2DModel
    rng = np.random.default_rng(0)
    image, centres = dots(1003, 777, 9, rng, sigma=10)
    parsed = Image2DModel.parse(np.moveaxis(image, -1, 0), dims=("c", "y", "x"), scale_factors=factors)
    opened = open_image(parsed)
    assert len(opened._source.levels) == len(factors) + 1
    # spatialdata trims, but stores the ratio of sizes: up to one pixel of a level at the far border.
    assert check_positions(opened, centres, rng, sigma=10) < 1


@pytest.mark.parametrize("scale", [0.25, 0.7, 1.6])
def test_dots_in_the_frame_of_the_spots(scale: float) -> None:
    """The image has ``scale`` pixels per pixel of the frame."""
    rng = np.random.default_rng(0)
    image, centres = dots(640, 512, 6, rng, sigma=10)
    opened = SlideImage(open_array(image), mpp=None, scale=scale)
    assert check_positions(opened, centres / scale, rng, sigma=10 / scale) < 0.1


def test_pieces_leave_no_seams() -> None:
    rng = np.random.default_rng(0)
    image = np.asarray(Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((2600, 1900)))
    box, size = np.array([10.3, 20.7, 2590.2, 1880.9]), np.array([1501, 983])
    found = region(open_array(image), box, size)
    whole = np.asarray(Image.fromarray(image).resize((1501, 983), Image.Resampling.BILINEAR, box=tuple(box)))
    assert np.abs(found.astype(int) - whole).max() <= 1
    assert (found != whole).mean() < 1e-3
