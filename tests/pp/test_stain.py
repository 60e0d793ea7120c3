"""Stains: planted ones are found, exchanging them is the formula of the papers, and blank tiles stay what they are."""

import json
import pickle
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image

import histoscribe as hs
from histoscribe._errors import ImageError, MissingError, OptionError
from histoscribe.pp import Stain, fit_stain, normalize_stain
from histoscribe.pp._normalize_stain import is_stained
from histoscribe.pp._stain import STANDARD

VECTORS = {
    "usual": ((0.65, 0.20), (0.66, 0.84), (0.38, 0.50)),
    "bluish": ((0.74, 0.38), (0.60, 0.80), (0.30, 0.46)),
    "pink": ((0.45, 0.10), (0.75, 0.90), (0.48, 0.42)),
}


def unit(vectors: Any) -> NDArray[np.float64]:
    return np.asarray(vectors) / np.linalg.norm(vectors, axis=0)


def mixture(
    vectors: Any, most: tuple[float, float] = (2.0, 1.2), n: int = 4, size: int = 64, seed: int = 0
) -> NDArray[np.uint8]:
    """Tiles in which every pixel holds some of either stain, many hold one alone, and a corner is glass."""
    rng = np.random.default_rng(seed)
    amounts = rng.uniform(0.0, 1.0, (n, size, size, 2)) * most
    alone = rng.integers(0, 4, (n, size, size))
    amounts[alone == 0, 0] = 0
    amounts[alone == 1, 1] = 0
    amounts[:, : size // 4, : size // 4] = 0
    light = 256 * np.exp(-amounts @ unit(vectors).T) - 1
    return np.rint(light.clip(0, 255)).astype(np.uint8)


def degrees(one: Any, other: Any) -> NDArray[np.float64]:
    return np.degrees(np.arccos(np.clip((unit(one) * unit(other)).sum(axis=0), -1, 1)))


@pytest.mark.parametrize("name", VECTORS)
def test_planted_stains_are_recovered(name: str) -> None:
    stain = fit_stain(mixture(VECTORS[name], (2.0, 1.2)))
    assert not stain.degenerate
    assert degrees(stain.vectors, VECTORS[name]).max() < 1.5
    np.testing.assert_allclose(stain.amounts or (), (0.98 * 2.0, 0.98 * 1.2), rtol=0.05)
    assert stain.n_pixels == is_stained(mixture(VECTORS[name]).reshape(-1, 3), (255, 255, 255)).sum()


def test_amounts_and_glass_are_told_apart() -> None:
    strong, weak = (fit_stain(mixture(VECTORS["usual"], most)) for most in ((3.0, 1.2), (1.5, 1.2)))
    assert strong.amounts is not None
    assert weak.amounts is not None
    assert strong.amounts[0] / weak.amounts[0] == pytest.approx(2, rel=0.05)
    assert strong.amounts[1] / weak.amounts[1] == pytest.approx(1, rel=0.05)
    tiles = mixture(VECTORS["usual"])
    tinted = np.rint((tiles + 1.0) * np.array([231, 211, 221]) / 256 - 1).astype(np.uint8)
    found = fit_stain(tinted, background=(230, 210, 220))
    assert degrees(found.vectors, VECTORS["usual"]).max() < 1.5
    assert found.background == (230.0, 210.0, 220.0)


@pytest.mark.filterwarnings("ignore:.*exchanged")
@pytest.mark.parametrize("left", [0, 1])
def test_without_a_second_stain_there_is_nothing_to_find(left: int) -> None:
    most = (2.0, 0.0) if left == 0 else (0.0, 2.0)
    with pytest.warns(UserWarning, match="degenerate"):
        stain = fit_stain(mixture(VECTORS["usual"], most))
    assert stain.degenerate
    assert stain.n_pixels > 1000
    tiles = mixture(VECTORS["usual"])
    same, changed = normalize_stain(tiles, stain)
    np.testing.assert_array_equal(same, tiles)
    assert not changed.any()


@pytest.mark.filterwarnings("ignore:.*exchanged")
@pytest.mark.parametrize("method", ["macenko", "reinhard"])
@pytest.mark.parametrize("colour", [(255, 255, 255), (0, 0, 0), (128, 128, 128), (200, 120, 190)])
@pytest.mark.parametrize("shape", [(1, 1, 3), (5, 40, 40, 3), (0, 8, 8, 3)])
def test_nothing_to_fit_is_a_marked_stain(method: str, colour: tuple[int, ...], shape: tuple[int, ...]) -> None:
    with pytest.warns(UserWarning, match="degenerate"):
        stain = fit_stain(np.full(shape, colour, dtype=np.uint8), method)
    assert stain.degenerate
    assert stain == replace(STANDARD[method], degenerate=True, n_pixels=stain.n_pixels)
    fine = fit_stain(mixture(VECTORS["usual"]), method)
    with pytest.raises(OptionError, match="target"):
        normalize_stain(mixture(VECTORS["usual"]), fine, stain)


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_the_same_stain_changes_nothing(method: str) -> None:
    tiles = mixture(VECTORS["bluish"])
    stain = fit_stain(tiles, method)
    same, changed = normalize_stain(tiles, stain, stain)
    assert np.abs(same.astype(int) - tiles).max() <= 1
    assert changed.all()


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
@pytest.mark.parametrize("target", [None, "pink"])
def test_what_was_normalized_has_the_target_stain(method: str, target: str | None) -> None:
    tiles = mixture(VECTORS["bluish"], (1.6, 1.4))
    goal = STANDARD[method] if target is None else fit_stain(mixture(VECTORS[target], (1.2, 1.0), seed=1), method)
    before = tiles.copy()
    once, _ = normalize_stain(tiles, fit_stain(tiles, method), None if target is None else goal)
    np.testing.assert_array_equal(tiles, before)
    again = fit_stain(once, method)
    if method == "macenko":
        assert degrees(again.vectors, goal.vectors).max() < 2
        assert degrees(fit_stain(tiles).vectors, goal.vectors).max() > 5
        np.testing.assert_allclose(again.amounts or (), goal.amounts or (), rtol=0.06)
    else:
        first, after, wanted = (np.asarray(one.mean) for one in (fit_stain(tiles, method), again, goal))
        assert np.linalg.norm(after - wanted) < 0.6 * np.linalg.norm(first - wanted)  # what is cut off at 255 is lost
    twice, _ = normalize_stain(once, goal, goal)
    assert np.abs(twice.astype(int) - once).max() <= 1


def faded(old: Any, new: Any, tiles: Any) -> Any:
    density = -np.log((tiles + 1.0) / 256).mean(axis=-1, keepdims=True)
    return old + np.clip(density / 0.15, 0, 1) * (new - old)


@pytest.mark.parametrize("match_amounts", [True, False])
def test_macenko_is_the_formula_of_the_paper(match_amounts: bool) -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    source, target = fit_stain(mixture(VECTORS["bluish"], (1.3, 1.9))), fit_stain(mixture(VECTORS["pink"]))
    density = -np.log((tiles + 1.0) / 256)
    bases = []
    for stain in (source, target):
        vectors = unit(stain.vectors)
        third = np.cross(*vectors.T)
        bases.append(np.column_stack([vectors, third / np.linalg.norm(third)]))
    amounts = np.linalg.solve(bases[0], density.reshape(-1, 3).T)
    if match_amounts:
        amounts[:2] *= (np.array(target.amounts) / np.array(source.amounts))[:, None]
    light = 256 * np.exp(-(bases[1] @ amounts).T.reshape(tiles.shape)) - 1
    found, changed = normalize_stain(tiles, source, target, match_amounts=match_amounts)
    assert changed.all()
    assert np.abs(found - np.clip(faded(tiles, light, tiles), 0, 255)).max() <= 0.51


def test_reinhard_is_the_formula_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (2, 50, 70, 3), dtype=np.uint8)
    to_lms = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
    to_lab = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])

    def lab(pixels: Any) -> Any:
        return np.log(pixels @ to_lms.T + 1) @ to_lab.T

    stains = []
    for name in ("bluish", "pink"):
        pixels = mixture(VECTORS[name]).reshape(-1, 3)
        stain = fit_stain(pixels[None], "reinhard")
        values = lab(pixels[is_stained(pixels, (255, 255, 255))])
        np.testing.assert_allclose(stain.mean or (), values.mean(axis=0))
        np.testing.assert_allclose(stain.std or (), values.std(axis=0))
        stains.append(stain)
    source, target = stains
    moved = (lab(tiles) - source.mean) / source.std * target.std + target.mean
    light = (np.exp(moved @ np.linalg.inv(to_lab).T) - 1) @ np.linalg.inv(to_lms).T
    found, _ = normalize_stain(tiles, source, target)
    assert np.abs(found - np.clip(faded(tiles, light, tiles), 0, 255)).max() <= 0.55


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_blank_tiles_are_returned_as_they_are_and_flagged(method: str) -> None:
    stain = fit_stain(mixture(VECTORS["bluish"]), method)
    tiles = np.stack([np.full((32, 32, 3), value, dtype=np.uint8) for value in (255, 240, 0, 128, 25)])
    rng = np.random.default_rng(0)
    noisy = np.clip(rng.normal(245, 4, (1, 32, 32, 3)), 0, 255).astype(np.uint8)
    tissue = mixture(VECTORS["bluish"], n=1, size=32)
    batch = np.concatenate([tiles, noisy, tissue])
    with np.errstate(all="raise"):
        out, changed = normalize_stain(batch, stain)
    assert changed.tolist() == [False] * 6 + [True]
    np.testing.assert_array_equal(out[:6], batch[:6])
    assert np.abs(out[6].astype(int) - batch[6]).max() > 10


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_white_stays_white_and_no_pixel_jumps(method: str) -> None:
    stain = fit_stain(mixture(VECTORS["bluish"]), method)
    ramp = np.rint(np.linspace([255.0] * 3, [200, 120, 190], 400)).astype(np.uint8)[None]
    out, changed = normalize_stain(ramp, stain)
    assert changed is True
    np.testing.assert_array_equal(out[0, 0], [255, 255, 255])
    steps = np.abs(np.diff(out[0].astype(int), axis=0)).max(axis=1)
    assert steps.max() <= 4


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
@pytest.mark.filterwarnings("error")
def test_extreme_colours_give_colours(method: str) -> None:
    """Every corner of the colour cube, through a stain far from the target's."""
    source = fit_stain(mixture(VECTORS["bluish"], (0.5, 3.0)), method)
    target = fit_stain(mixture(VECTORS["pink"], (3.0, 0.5)), method)
    values = np.array([0, 1, 127, 254, 255], dtype=np.uint8)
    cube = np.stack(np.meshgrid(values, values, values), axis=-1).reshape(5, 25, 3)
    out, changed = normalize_stain(cube, source, target)
    assert changed
    assert out.dtype == np.uint8
    assert out.shape == cube.shape
    np.testing.assert_array_equal(out[(cube == 255).all(axis=-1)], [[255, 255, 255]])


@pytest.mark.parametrize("method", ["macenko", "reinhard"])
def test_a_large_image_is_its_tiles(method: str) -> None:
    tiles = mixture(VECTORS["bluish"], n=20, size=64)  # more pixels than are worked on at a time
    stain = fit_stain(tiles, method)
    one, changed = normalize_stain(tiles.reshape(20 * 64, 64, 3), stain)
    many, flags = normalize_stain(tiles, stain)
    assert changed is True
    assert flags.all()
    np.testing.assert_array_equal(one, many.reshape(one.shape))
    none, flags = normalize_stain(tiles[:0], stain)
    assert none.shape == (0, 64, 64, 3)
    assert flags.shape == (0,)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((8, 8), dtype=np.uint8),
        np.zeros((8, 8, 1), dtype=np.uint8),
        np.zeros((8, 8, 4), dtype=np.uint8),
        np.zeros((3, 8, 8), dtype=np.uint8),
        np.zeros((8, 8, 3), dtype=np.uint16),
        np.zeros((8, 8, 3), dtype=np.float32),
        "none",
    ],
    ids=["grey", "one channel", "alpha", "channels first", "16 bit", "floats", "text"],
)
def test_other_pixels_are_refused(image: Any) -> None:
    with pytest.raises(ImageError, match="uint8"):
        normalize_stain(image, STANDARD["macenko"])
    if not isinstance(image, str):
        with pytest.raises(ImageError, match="uint8"):
            fit_stain(image)


def test_wrong_options_are_named() -> None:
    tiles = mixture(VECTORS["usual"])
    stain = fit_stain(tiles)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("method", {"method": "vahadane"}),
        ("background", {"background": 0}),
        ("background", {"background": "white"}),
        ("background", {"background": (255, 255)}),
        ("background", {"background": (255, 255, 300)}),
        ("n_pixels", {"n_pixels": 5}),
    ]
    for name, options in wrong:
        with pytest.raises(OptionError, match=name):
            fit_stain(tiles, **options)
    with pytest.raises(OptionError, match="target"):
        normalize_stain(tiles, stain, STANDARD["reinhard"])
    with pytest.raises(OptionError, match="stain"):
        normalize_stain(tiles, "macenko")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"Stain\.mean"):
        Stain("reinhard", (255.0, 255.0, 255.0), 5, mean=(float("nan"), 0.0, 0.0), std=(1.0, 1.0, 1.0))


def test_a_stain_is_its_numbers() -> None:
    tiles = mixture(VECTORS["usual"])
    one, same = fit_stain(tiles), fit_stain(tiles.copy())
    other = fit_stain(mixture(VECTORS["pink"]))
    assert one == same != other
    assert one.sha256 == same.sha256 != other.sha256
    assert len({one, same, other}) == 2
    assert one.sha256 != replace(one, degenerate=True).sha256
    back = pickle.loads(pickle.dumps(one))
    assert back == one
    assert back.sha256 == one.sha256
    assert json.loads(json.dumps(asdict(one)))["n_pixels"] == one.n_pixels


@pytest.mark.weekly
def test_a_section_is_sampled_where_its_tissue_is(tmp_path: Path) -> None:
    tissue = mixture(VECTORS["bluish"], n=1, size=640)[0]
    pixels = np.full((900, 1000, 3), 255, dtype=np.uint8)
    pixels[100:740, 200:840] = tissue
    pixels[850:] = 0
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    adata = AnnData(np.ones((30, 2), dtype=np.float32))
    adata.obsm["spatial"] = np.random.default_rng(0).uniform(0, 900, (30, 2))
    hs.io.link_image(adata, tmp_path / "slide.png", mpp=1.0, library_id="s", image_scale=0.85)
    stain = fit_stain(adata, n_pixels=20_000)
    assert stain == fit_stain(adata, n_pixels=20_000)
    assert stain != fit_stain(adata, n_pixels=20_000, random_state=1)
    assert stain.n_pixels == 20_000
    assert fit_stain(tmp_path / "slide.png").n_pixels > 50_000  # no scale is needed
    with pytest.raises(MissingError, match="other"):
        fit_stain(adata, library_id="other")


def squidpys(tiles: NDArray[np.uint8], method: str, target: NDArray[np.uint8]) -> tuple[Any, NDArray[np.uint8]]:
    """Fit and normalize with squidpy, tissue being what we call stained."""
    im = pytest.importorskip("squidpy").experimental.im
    if not hasattr(im, "fit_stain_reference"):
        pytest.skip("this squidpy has no stain normalisation")
    from spatialdata import SpatialData
    from spatialdata.models import Image2DModel, Labels2DModel

    images, labels = {}, {}
    for key, pixels in (("source", tiles), ("target", target)):
        stained = is_stained(pixels.reshape(-1, 3), (255, 255, 255)).reshape(pixels.shape[:2])
        images[key] = Image2DModel.parse(np.moveaxis(pixels, 2, 0), dims=("c", "y", "x"))
        labels[f"{key}_tissue"] = Labels2DModel.parse(stained.astype(np.int32), dims=("y", "x"))
    sdata = SpatialData(images=images, labels=labels)
    fitted = im.fit_stain_reference(sdata, "target", method=method)
    out = im.normalize_stains(sdata, "source", fitted, inplace=False)
    return fitted, np.moveaxis(np.asarray(out), 0, 2)


@pytest.mark.weekly
@pytest.mark.filterwarnings("ignore")  # squidpy's and spatialdata's own
@pytest.mark.parametrize("method", ["macenko", "reinhard"])
@pytest.mark.parametrize("kind", ["breast", "lung", "skin"])
def test_equal_to_squidpy_on_real_tissue(data: Path, kind: str, method: str) -> None:
    if kind == "lung":
        files = [sorted((data / "lc25000_lung" / name).glob("*.jp*g"))[0] for name in ("lung_aca", "lung_scc")]
        source, target = (np.asarray(Image.open(file).convert("RGB")) for file in files)
    else:
        files = [next((data / "her2st/ST-imgs" / name).iterdir()) for name in ("B4", "C2")]
        files = files if kind == "breast" else [data / "wsi_small/CMU-1-Small-Region.svs", files[1]]
        regions = []
        for file in files:
            with hs.io.open_image(file) as image:
                regions.append(image.read(image.width * 0.4, image.height * 0.5, 500, 400))
        source, target = regions
    fitted, theirs = squidpys(source, method, target)
    goal = fit_stain(target, method)
    if method == "macenko":
        np.testing.assert_allclose(goal.vectors or (), fitted.stain_matrix[:, :2], atol=1e-3)
        np.testing.assert_allclose(goal.amounts or (), fitted.max_concentrations * np.log(256) / 255, rtol=5e-3)
    else:
        np.testing.assert_allclose(goal.mean or (), fitted.mu, atol=1e-4)
        np.testing.assert_allclose(goal.std or (), fitted.sigma, atol=1e-4)
    ours, changed = normalize_stain(source, fit_stain(source, method), goal, match_amounts=False)
    stained = is_stained(source.reshape(-1, 3), (255, 255, 255)).reshape(source.shape[:2])
    assert changed
    assert np.abs(ours.astype(int) - theirs)[stained].max() <= 1
    assert np.abs(ours.astype(int) - source)[stained].mean() > 1


@pytest.mark.weekly
def test_black_paint_changes_no_stain(data: Path) -> None:
    black = data / "her2st/ST-imgs-lowres/A1_HE_image_dark.png"
    pixels = np.array(Image.open(black).convert("RGB"))[::3, ::3]
    white = pixels.copy()
    white[(pixels < 10).all(axis=-1)] = 255
    one, other = (fit_stain(image[None]) for image in (pixels, white))
    assert degrees(one.vectors, other.vectors).max() < 0.5
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not fit_stain(black).degenerate
