from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import OptionError, ScaleError
from histoscribe._keys import Keys, LibraryKeys, valid
from histoscribe.tl._dense import DenseTiles, Lattice

pytestmark = pytest.mark.filterwarnings("ignore:image of")  # there is no file: pixels are in uns

SIDE = 600
PX = 8 * 0.5 / 0.5  # of a token, in pixels of the section


class Tokens:
    """Mean colour of each token: what dense pooling of it gives is known from the image."""

    name, size, mpp, sha256, patch = "tokens", 64, 0.5, "tokens", 8

    def __init__(self) -> None:
        self.n_tiles = 0

    def __call__(self, tiles: Any) -> NDArray[np.float32]:
        raise AssertionError("dense pooling takes tokens")

    def dense(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.n_tiles += len(tiles)
        n, side, p = len(tiles), self.size // self.patch, self.patch
        tiles = tiles[:, : side * p, : side * p]
        return tiles.reshape(n, side, p, side, p, 3).mean(axis=(2, 4)).astype(np.float32)


def _section(boxes: NDArray[np.float64], *, mpp: float = 0.5) -> tuple[AnnData, NDArray[np.uint8]]:
    """Boxes on noise whose colour also changes with the place."""
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.stack([x * 0.3, y * 0.3, (x + y) * 0.1], axis=-1)
    image = (image + np.random.default_rng(0).integers(0, 60, image.shape)).astype(np.uint8)
    adata = AnnData(np.ones((len(boxes), 1), dtype=np.float32), obs=pd.DataFrame(index=map(str, range(len(boxes)))))
    adata.obsm[Keys.TILES] = boxes
    adata.uns[Keys.LIBRARIES] = {
        "S1": {
            LibraryKeys.IMAGES: {LibraryKeys.HIRES: image},
            LibraryKeys.SCALEFACTORS: {LibraryKeys.HIRES_SCALE: 1.0},
            LibraryKeys.METADATA: {LibraryKeys.MPP: mpp},
        }
    }
    return adata, image


def _tokens_of(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Image made of tokens: each pixel has the mean colour of its token; tokens off the image are white in part."""
    p, over = int(PX), -SIDE % int(PX)
    padded = np.pad(image.astype(float), ((0, over), (0, over), (0, 0)), constant_values=255)
    n = len(padded) // p
    return padded.reshape(n, p, n, p, 3).mean(axis=(1, 3)).repeat(p, axis=0).repeat(p, axis=1)


def _area_mean(image: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean colour under a box with fractional borders, pixel by pixel."""
    x, y, w, h = box
    columns, rows = np.arange(image.shape[1]), np.arange(image.shape[0])
    across = np.clip(np.minimum(x + w, columns + 1) - np.maximum(x, columns), 0, None)
    down = np.clip(np.minimum(y + h, rows + 1) - np.maximum(y, rows), 0, None)
    return np.einsum("y,x,yxc->c", down, across, image) / (w * h)


def _random_boxes(n: int = 300, seed: int = 1) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    size = rng.uniform(3, 60, (n, 2))
    return np.column_stack([rng.uniform(0, 1, (n, 2)) * (SIDE - size), size])


@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_each_box_gets_the_area_mean_of_the_tokens_under_it(batch_size: int) -> None:
    boxes = _random_boxes()
    adata, image = _section(boxes)
    encoder = Tokens()
    hs.tl.encode_image(adata, encoder, pooling="dense", batch_size=batch_size)
    under = _tokens_of(image)
    expected = np.array([_area_mean(under, box) for box in boxes])
    np.testing.assert_allclose(adata.obsm[Keys.X_IMAGE], expected, atol=1e-3)
    assert encoder.n_tiles <= np.ceil(SIDE / 64) ** 2
    crossing = (boxes[:, 0] // 64 != (boxes[:, 0] + boxes[:, 2]) // 64).mean()
    assert crossing > 0.3  # tile borders were in the way


def test_boxes_on_token_borders_give_the_area_mean_of_the_pixels() -> None:
    rng = np.random.default_rng(2)
    boxes = np.column_stack([rng.integers(0, 60, (200, 2)), rng.integers(1, 8, (200, 2))]).astype(np.float64) * PX
    adata, image = _section(boxes)
    hs.tl.encode_image(adata, Tokens(), pooling="dense")
    expected = [_area_mean(image.astype(float), box) for box in boxes]
    np.testing.assert_allclose(adata.obsm[Keys.X_IMAGE], expected, atol=1e-3)


def test_other_scales_and_sizes_that_patches_do_not_divide() -> None:
    encoder = Tokens()
    encoder.size, encoder.mpp = 70, 1.0  # 8 patches of 8, and 6 pixels that no token sees
    boxes = _random_boxes()
    y, x = np.mgrid[:SIDE, :SIDE]
    adata, _ = _section(boxes)
    smooth = np.stack([x * 0.4, y * 0.4, np.full_like(x, 90)], axis=-1).astype(np.uint8)
    adata.uns[Keys.LIBRARIES]["S1"][LibraryKeys.IMAGES][LibraryKeys.HIRES] = smooth
    hs.tl.encode_image(adata, encoder, pooling="dense")
    inside = (boxes[:, :2] > 16).all(axis=1) & (boxes[:, :2] + boxes[:, 2:] < SIDE - 16).all(axis=1)
    token = 16  # pixels: on a ramp the mean over tokens is the mean over the box, but for where in a token it lies
    expected = (boxes[:, :2] + boxes[:, 2:] / 2) * 0.4 - 0.5
    assert np.abs(adata.obsm[Keys.X_IMAGE][inside, :2] - expected[inside]).max() < token / 2 * 0.4
    assert np.abs((adata.obsm[Keys.X_IMAGE][inside, :2] - expected[inside]).mean()) < 0.3


def test_vectors_do_not_depend_on_which_boxes_are_asked_for() -> None:
    boxes = _random_boxes()
    whole, _ = _section(boxes)
    part, _ = _section(boxes[40:90])
    for adata in (whole, part):
        hs.tl.encode_image(adata, Tokens(), pooling="dense")
    np.testing.assert_allclose(part.obsm[Keys.X_IMAGE], whole.obsm[Keys.X_IMAGE][40:90], atol=1e-4)


def test_tiles_are_encoded_only_where_boxes_are() -> None:
    boxes = np.array([[10, 10, 20, 20], [15, 12, 20, 20], [330.5, 200, 4, 4]], dtype=float)
    tiles = DenseTiles(Lattice(64, 8, 8), boxes).boxes
    np.testing.assert_array_equal(tiles, [[0, 0, 64, 64], [320, 192, 64, 64]])


def test_rounding_over_a_border_needs_no_further_tile() -> None:
    boxes = np.array([[64 - 0.1 * 3, 0, 0.1 * 3, 8]])  # ends at 64 but for rounding
    assert len(DenseTiles(Lattice(64, 8, 8), boxes).boxes) == 1


def test_boxes_off_the_image_and_missing_ones_are_flagged() -> None:
    boxes = _random_boxes(20)
    boxes[3], boxes[5, 0] = np.nan, -500
    adata, _ = _section(boxes)
    with pytest.warns(UserWarning, match="1 of 19 outside"):
        hs.tl.encode_image(adata, Tokens(), pooling="dense")
    assert np.flatnonzero(~adata.obs[valid(Keys.X_IMAGE)]).tolist() == [3, 5]
    assert (adata.obsm[Keys.X_IMAGE][[3, 5]] == 0).all()


def test_dense_vectors_come_from_the_cache() -> None:
    adata, _ = _section(_random_boxes())
    first, second = Tokens(), Tokens()
    hs.tl.encode_image(adata, first, pooling="dense")
    hs.tl.encode_image(adata, second, pooling="dense", key_added="again")
    assert first.n_tiles > 0
    assert second.n_tiles == 0
    np.testing.assert_array_equal(adata.obsm["again"], adata.obsm[Keys.X_IMAGE])
    assert adata.uns[Keys.RECORD]["obsm.X_image"]["params"]["pooling"] == "dense"


def test_what_dense_pooling_can_not_do_is_an_error() -> None:
    boxes = _random_boxes(10)
    boxes[2, 2] = 70
    adata, _ = _section(boxes)
    with pytest.raises(OptionError, match=r"boxes of 35 um; expected at most 32 um"):
        hs.tl.encode_image(adata, Tokens(), pooling="dense")
    with pytest.raises(OptionError, match="pooling: found 'dense' for mean_rgb"):
        hs.tl.encode_image(adata, "mean_rgb", pooling="dense")
    del adata.uns[Keys.LIBRARIES]["S1"][LibraryKeys.METADATA]
    with pytest.raises(ScaleError):
        hs.tl.encode_image(adata, Tokens(), pooling="dense")
