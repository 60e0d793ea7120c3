import numpy as np
import pytest
from numpy.typing import NDArray

from histoscribe.io.image._resample import resample, windows_of


def triangle(image: NDArray, box: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Antialiased bilinear resampling, written as the sum that defines it."""

    def weights(low: float, high: float, n_out: int, n_in: int) -> NDArray[np.float64]:
        step = (high - low) / n_out
        reach = max(step, 1.0)
        matrix = np.zeros((n_out, n_in))
        for j in range(n_out):
            for i in range(n_in):
                matrix[j, i] = max(0.0, 1 - abs(i + 0.5 - (low + (j + 0.5) * step)) / reach)
        return matrix / matrix.sum(axis=1, keepdims=True)

    across = weights(box[0], box[2], size[0], image.shape[1])
    down = weights(box[1], box[3], size[1], image.shape[0])
    return np.einsum("ry,yxc,qx->rqc", down, image.astype(np.float64), across)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("n_channels", [1, 3, 5])
def test_resampling_is_the_triangle_filter(dtype: type, n_channels: int) -> None:
    rng = np.random.default_rng(n_channels)
    image: NDArray = rng.uniform(0, 200, (40, 50, n_channels)).astype(dtype)
    size = np.array([9, 12])
    for box in ([10.3, 8.6, 30.1, 29.9], [5.5, 6.25, 14.5, 18.25], [20.2, 20.1, 23.7, 24.4]):
        corners = np.array(box)
        found = resample(image, corners, size)
        assert found.dtype == dtype
        assert found.shape == (12, 9, n_channels)
        # Pillow rounds 8-bit images after each of the two axes.
        tolerance = 1.01 if dtype == np.uint8 else 0.51 if np.issubdtype(dtype, np.integer) else 1e-3
        np.testing.assert_allclose(found, triangle(image, corners, (9, 12)), atol=tolerance)


def test_windows_hold_every_pixel_that_counts() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 100, 3), dtype=np.uint8)
    corner, extent = rng.uniform(25, 40, (30, 2)), rng.uniform(2, 25, (30, 2))
    boxes, sizes = np.hstack([corner, corner + extent]), rng.integers(1, 12, (30, 2))
    for box, size, window in zip(boxes, sizes, windows_of(boxes, sizes), strict=True):
        left, top, right, bottom = window
        part = resample(image[top:bottom, left:right], box - np.tile(window[:2], 2), size)
        whole = resample(image, box, size)
        assert np.abs(part.astype(int) - whole).max() <= 1  # the filter's weights are of fixed point


def test_whole_pixels_are_returned_as_they_are() -> None:
    image = np.random.default_rng(0).uniform(size=(30, 30, 2))
    boxes, sizes = np.array([[3.0, 4.0, 13.0, 9.0]]), np.array([[10, 5]])
    np.testing.assert_array_equal(windows_of(boxes, sizes), [[3, 4, 13, 9]])
    np.testing.assert_array_equal(resample(image, boxes[0], sizes[0]), image[4:9, 3:13])


def test_integers_do_not_wrap_at_their_limits() -> None:
    image = np.tile(np.array([0, 65535], dtype=np.uint16), (20, 10))[..., None]
    assert set(np.unique(resample(image, np.array([2.0, 2.0, 18.0, 18.0]), np.array([32, 32]))) // 32768) == {0, 1}
    wide = np.full((9, 9, 1), np.iinfo(np.int32).max, dtype=np.int32)
    assert (resample(wide, np.array([2.5, 2.5, 6.5, 6.5]), np.array([4, 4])) > 2**31 - 256).all()


def test_booleans_stay_booleans() -> None:
    mask = np.zeros((10, 10, 1), dtype=bool)
    mask[:, 5:] = True
    found = resample(mask, np.array([1.0, 1.0, 9.0, 9.0]), np.array([4, 4]))
    np.testing.assert_array_equal(found[..., 0], np.tile([False, False, True, True], (4, 1)))
