from typing import Any

import numpy as np
import pytest
from skimage.color import rgb2hed
from skimage.feature import graycomatrix, graycoprops
from skimage.measure import label, regionprops

from histoscribe._errors import ImageError, MissingError
from histoscribe.nn import ENCODERS
from histoscribe.nn.image._nuclei import blobs, nuclei
from histoscribe.nn.image._stain import unmix


def _tissue(n_nuclei: int = 20, size: int = 224, seed: int = 0) -> np.ndarray:
    """Pink tissue with round purple nuclei of a radius of 6 pixels that do not touch."""
    rng = np.random.default_rng(seed)
    tile = np.full((size, size, 3), (230, 160, 200), dtype=float) + rng.normal(0, 3, (size, size, 3))
    y, x = np.mgrid[:size, :size]
    places = rng.permutation([(r, c) for r in range(14, size - 14, 28) for c in range(14, size - 14, 28)])
    for r, c in places[:n_nuclei]:
        tile[(y - r) ** 2 + (x - c) ** 2 <= 36] = (90, 50, 140)
    return tile.clip(0, 255).astype(np.uint8)


def _stats(tile: np.ndarray) -> dict[str, float]:
    encoder = ENCODERS["stain_stats"]()
    return dict(zip(encoder.features, encoder(tile[None])[0].tolist(), strict=True))


def test_number_area_and_roundness_of_nuclei() -> None:
    few, many = _stats(_tissue(10)), _stats(_tissue(40))
    area_mm2 = (224 * 0.5 / 1000) ** 2
    assert few["nuclei_per_mm2"] * area_mm2 == pytest.approx(10, abs=0.5)
    assert many["nuclei_per_mm2"] * area_mm2 == pytest.approx(40, abs=0.5)
    assert few["nuclei_area_mean"] == pytest.approx(np.pi * 3**2, rel=0.2)  # a radius of 3 um
    assert few["nuclei_eccentricity_mean"] < 0.4
    assert many["h_mean"] > few["h_mean"]


@pytest.mark.parametrize("value", [0, 128, 255])
def test_plain_tiles_give_finite_numbers_and_no_nuclei(value: int) -> None:
    stats = _stats(np.full((224, 224, 3), value, dtype=np.uint8))
    assert np.isfinite(list(stats.values())).all()
    assert stats["nuclei_per_mm2"] == 0


def test_glass_with_noise_has_no_nuclei() -> None:
    noise = np.random.default_rng(0).normal(243, 4, (224, 224, 3)).clip(0, 255).astype(np.uint8)
    assert _stats(noise)["nuclei_per_mm2"] == 0


def test_stains_are_those_of_scikit_image() -> None:
    tile = np.random.default_rng(0).integers(1, 256, (30, 30, 3)).astype(np.uint8)
    ours = unmix(np.moveaxis(tile, 2, 0))
    theirs = np.moveaxis(rgb2hed(tile), 2, 0)  # natural logarithm over log(1e-6), and negatives cut off
    np.testing.assert_allclose(np.maximum(ours, 0), theirs * 6, atol=1e-4)


def test_colour_means_and_texture_by_hand() -> None:
    tile = _tissue()
    stats = _stats(tile)
    for k, name in enumerate("rgb"):
        assert stats[f"mean_{name}"] == pytest.approx(tile[..., k].mean() / 255, rel=1e-5)
        assert stats[f"std_{name}"] == pytest.approx(tile[..., k].std() / 255, rel=1e-4)
    levels = (tile.mean(axis=2) // 16).astype(np.uint8)
    pairs = graycomatrix(levels, [4], np.arange(4) * np.pi / 4, levels=16, symmetric=True, normed=True)
    assert stats["glcm_contrast_4"] == pytest.approx(graycoprops(pairs, "contrast").mean(), rel=1e-3)
    assert sum(stats[f"lbp_{k}"] for k in range(10)) == pytest.approx(1)


def test_blobs_are_those_of_regionprops() -> None:
    rng = np.random.default_rng(0)
    labels = label(rng.random((60, 60)) < 0.45, connectivity=1)
    values = rng.random((60, 60))
    area, eccentricity, mean = blobs(labels, values)
    regions = regionprops(labels, values)
    np.testing.assert_allclose(area, [r.area for r in regions])
    np.testing.assert_allclose(eccentricity, [r.eccentricity for r in regions], atol=1e-6)
    np.testing.assert_allclose(mean, [r.intensity_mean for r in regions])


def test_nuclei_larger_than_nuclei_are_not_counted() -> None:
    plane = np.zeros((224, 224))
    plane[20:120, 20:120] = 1.0  # 2500 um²
    assert nuclei(plane, np.ones((224, 224), dtype=bool), 0.5)["nuclei_per_mm2"] == 0


@pytest.mark.parametrize("name", ["mean_rgb", "stain_stats"])
def test_every_encoder_keeps_its_promises(name: str) -> None:
    encoder = ENCODERS[name]()
    tiles = np.stack([_tissue(n) for n in (0, 5, 30)])
    vectors = encoder(tiles)
    assert encoder.name == name
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, len(encoder.features))
    assert len(set(encoder.features)) == len(encoder.features)
    np.testing.assert_array_equal(encoder(tiles[1:2])[0], vectors[1])
    assert encoder(tiles[:0]).shape == (0, len(encoder.features))
    assert encoder.sha256 == ENCODERS[name]().sha256 != type(encoder)(version=99).sha256


@pytest.mark.parametrize("name", ["mean_rgb", "stain_stats"])
@pytest.mark.parametrize(
    "tiles", [np.zeros((2, 8, 8, 4), np.uint8), np.zeros((2, 8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8)]
)
def test_anything_but_8_bit_rgb_is_refused_with_the_way_out(name: str, tiles: Any) -> None:
    with pytest.raises(ImageError, match=r"tiles: found shape .*expected 8-bit RGB.*as uint8"):
        ENCODERS[name]()(tiles)


def test_unknown_encoder_names_the_nearest() -> None:
    with pytest.raises(MissingError, match="Did you mean stain_stats"):
        ENCODERS["stain_stat"]
