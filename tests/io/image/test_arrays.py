"""Arrays in memory and images of a SpatialData."""

import hashlib
from typing import Any

import numpy as np
import pytest

from histoscribe._errors import ImageError
from histoscribe.io import open_image

xarray = pytest.importorskip("xarray")
RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (75, 101, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models() -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what spatialdata's dependencies say at import
        import spatialdata.models
    return spatialdata.models


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, ">u2", bool])
@pytest.mark.parametrize("n_channels", [None, 1, 3, 6])
def test_arrays_come_back_as_they_are(dtype: Any, n_channels: int | None) -> None:
    shape = (60, 70) if n_channels is None else (60, 70, n_channels)
    image = RNG.integers(0, 2 if dtype is bool else 200, shape).astype(dtype)
    opened = open_image(image)
    expected = image[..., None] if n_channels is None else image
    assert (opened.width, opened.height, opened.n_channels) == (70, 60, n_channels or 1)
    assert opened.dtype == image.dtype.newbyteorder("=")
    np.testing.assert_array_equal(opened.read(5, 6, 20, 30), expected[6:36, 5:25])
    white = image.dtype == np.uint8 and n_channels in (None, 1, 3)
    assert (opened.read(70, 0, 5, 5) == (255 if white else 0)).all()
    assert opened.read(5.5, 6.5, 20, 30).dtype == opened.dtype
    assert opened.sha256 == hashlib.sha256(image.tobytes()).hexdigest()


def test_alpha_is_composited_over_white() -> None:
    image = np.zeros((10, 3, 4), dtype=np.uint8)
    image[:, 1, 3], image[:, 2, 3] = 128, 255
    opened = open_image(image)
    assert opened.n_channels == 3
    np.testing.assert_array_equal(opened.read(0, 0, 3, 1)[0, :, 0], [255, 127, 0])


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((3, 50, 60), dtype=np.uint8), "np.moveaxis"),
        (np.zeros((0, 5, 3), dtype=np.uint8), "shape"),
        (np.zeros(5), "shape"),
        (np.zeros((2, 5, 5, 3)), "shape"),
        (np.zeros((5, 5), dtype=complex), "complex128"),
        (np.array([["a", "b"]]), "<U1"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, found: str) -> None:
    with pytest.raises(ImageError, match=found):
        open_image(image)


@pytest.mark.parametrize("scale_factors", [None, [2, 2]])
@pytest.mark.parametrize("chunks", [None, {"c": 1, "y": 32, "x": 17}])
@pytest.mark.parametrize("names", [None, ["r", "g", "b"]])
def test_spatialdata_images(models: Any, scale_factors: Any, chunks: Any, names: Any) -> None:
    image = models.Image2DModel.parse(
        np.moveaxis(RGB, -1, 0), dims=("c", "y", "x"), scale_factors=scale_factors, chunks=chunks, c_coords=names
    )
    opened = open_image(image, mpp=0.5)
    assert (opened.width, opened.height, opened.n_channels, opened.source, opened.mpp) == (101, 75, 3, "array", 0.5)
    np.testing.assert_array_equal(opened.read(11, 7, 60, 50), RGB[7:57, 11:71])
    assert opened.sha256 == open_image(RGB).sha256
    if scale_factors:
        stored = [(50 / 101, 37 / 75), (25 / 101, 18 / 75)]
        np.testing.assert_allclose([level.scale for level in opened._source.levels[1:]], stored)
        assert opened.thumbnail(20)[0].shape == (14, 20, 3)


def test_chunks_are_computed_once(models: Any) -> None:
    import dask.array

    computed: list[tuple[int, int]] = []

    def block(block_info: Any = None) -> Any:
        (_, (top, bottom), (left, right)) = block_info[None]["array-location"]
        computed.append((left, top))
        return np.moveaxis(RGB, -1, 0)[:, top:bottom, left:right]

    lazy = dask.array.map_blocks(
        block, chunks=((3,), (30, 30, 15), (40, 40, 21)), dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8)
    )
    opened = open_image(models.Image2DModel.parse(lazy, dims=("c", "y", "x")))
    assert not computed
    corner = RNG.integers(0, 20, (50, 2))
    for rows, batch in opened.read_tiles(np.hstack([corner, np.full((50, 2), 50)]), 50):
        for row, patch in zip(rows, batch, strict=True):
            x, y = corner[row]
            np.testing.assert_array_equal(patch, RGB[y : y + 50, x : x + 50])
    assert sorted(computed) == [(x, y) for x in (0, 40) for y in (0, 30, 60)]


def test_transparent_spatialdata_image(models: Any) -> None:
    image = RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    parsed = models.Image2DModel.parse(np.moveaxis(image, -1, 0), dims=("c", "y", "x"), c_coords=["r", "g", "b", "a"])
    np.testing.assert_array_equal(open_image(parsed).read(0, 0, 30, 20), open_image(image).read(0, 0, 30, 20))


def test_scales_that_are_turned_are_left_out(models: Any) -> None:
    from spatialdata.transformations import Affine

    tree = models.Image2DModel.parse(np.moveaxis(RGB, -1, 0), dims=("c", "y", "x"), scale_factors=[2])
    shear = Affine([[2, 0.3, 0], [0, 2, 0], [0, 0, 1]], input_axes=("x", "y"), output_axes=("x", "y"))
    assert len(open_image(tree)._source.levels) == 2
    tree["scale1"]["image"].attrs["transform"]["global"] = shear
    assert len(open_image(tree)._source.levels) == 1


def test_dims_must_be_named() -> None:
    named = xarray.DataArray(RGB, dims=("y", "x", "c"))
    np.testing.assert_array_equal(open_image(named).read(0, 0, 101, 75), RGB)
    with pytest.raises(ImageError, match=r"dims.*sdata\.images"):
        open_image(xarray.DataArray(RGB, dims=("rows", "columns", "c")))
