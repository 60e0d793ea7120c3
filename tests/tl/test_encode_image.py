from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from numpy.typing import NDArray

import histoscribe as hs
from histoscribe._errors import ImageError, MissingError, OptionError
from histoscribe._files import sha256
from histoscribe._keys import Keys, LibraryKeys, valid

from ..toys import cached_toy

pytestmark = pytest.mark.filterwarnings("ignore:image of")  # there is no file: pixels are in uns


def _section(name: str = "S1", *, seed: int = 0, channels: int = 3) -> AnnData:
    """25 spots on an image of 300 x 300 pixels whose colour is the place: red is x, green is y."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:300, :300]
    image = np.stack([x * 0.8, y * 0.8, np.full_like(x, 40 + seed), x][:channels], axis=-1).astype(np.uint8)
    if channels == 1:
        image = image[..., 0]
    xy = np.stack(np.meshgrid(np.arange(5), np.arange(5)), axis=-1).reshape(-1, 2) * 50 + 40.0
    xy = xy[rng.permutation(25)]
    adata = AnnData(np.ones((25, 1), dtype=np.float32), obs=pd.DataFrame(index=[f"{name}{i}" for i in range(25)]))
    adata.obs[Keys.LIBRARY_ID] = pd.Categorical([name] * 25)
    adata.obsm[Keys.SPATIAL] = xy
    adata.obsm[Keys.TILES] = np.column_stack([xy - 20, np.full((25, 2), 40.0)])
    adata.uns[Keys.LIBRARIES] = {
        name: {
            LibraryKeys.IMAGES: {LibraryKeys.HIRES: image},
            LibraryKeys.SCALEFACTORS: {LibraryKeys.HIRES_SCALE: 1.0, LibraryKeys.SPOT_DIAMETER: 40.0},
            LibraryKeys.METADATA: {LibraryKeys.MPP: 2.8},  # 40 pixels are 112 um
        }
    }
    return adata


@pytest.fixture
def tiled() -> AnnData:
    return _section()


class Mean:
    """Mean colour as a user would write an encoder; counts its calls."""

    name, size, mpp, sha256 = "mine", 224, 0.5, "abc"

    def __init__(self) -> None:
        self.batches: list[int] = []

    def __call__(self, tiles: Any) -> NDArray[np.float32]:
        self.batches.append(len(tiles))
        return tiles.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)


def test_each_spot_gets_the_colour_of_its_place(tiled: AnnData) -> None:
    hs.tl.encode_image(tiled, "mean_rgb")
    vectors, xy = tiled.obsm[Keys.X_IMAGE] * 255, tiled.obsm[Keys.SPATIAL]
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors[:, :2], (xy - 0.5) * 0.8, atol=1.5)
    assert tiled.obs[valid(Keys.X_IMAGE)].all()


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 0), (7, 0), (7, 2), (64, 3)])
def test_batches_and_threads_make_no_difference(tiled: AnnData, batch_size: int, workers: int) -> None:
    hs.tl.encode_image(tiled, "stain_stats")
    hs.tl.encode_image(tiled, "stain_stats", batch_size=batch_size, num_workers=workers, key_added="other", cache=False)
    np.testing.assert_array_equal(tiled.obsm["other"], tiled.obsm[Keys.X_IMAGE])


def test_spot_without_a_box_stays_as_a_zero_row(tiled: AnnData) -> None:
    tiled.obsm[Keys.TILES][[2, 9]] = np.nan
    hs.tl.encode_image(tiled, "mean_rgb")
    assert np.flatnonzero(~tiled.obs[valid(Keys.X_IMAGE)].to_numpy()).tolist() == [2, 9]
    assert (tiled.obsm[Keys.X_IMAGE][[2, 9]] == 0).all()
    assert (tiled.obsm[Keys.X_IMAGE][[0, 1, 3]] > 0).all()


def test_sections_of_one_anndata_and_a_list_are_the_same(tiled: AnnData) -> None:
    import anndata as ad

    other = _section("S2", seed=30)
    both = ad.concat([tiled, other], uns_merge="unique")[np.random.default_rng(1).permutation(50)].copy()
    hs.tl.encode_image([tiled, other], "mean_rgb")
    hs.tl.encode_image(both, "mean_rgb")
    expected = pd.DataFrame(np.vstack([s.obsm[Keys.X_IMAGE] for s in (tiled, other)])).set_axis(
        [*tiled.obs_names, *other.obs_names]
    )
    np.testing.assert_array_equal(both.obsm[Keys.X_IMAGE], expected.loc[both.obs_names])
    assert not np.allclose(tiled.obsm[Keys.X_IMAGE][:, 2], other.obsm[Keys.X_IMAGE][:, 2])
    assert set(both.uns[Keys.RECORD]["obsm.X_image"]["hashes"]) == {"encoder", "image.S1", "image.S2"}


def test_record_names_encoder_and_image(tiled: AnnData) -> None:
    hs.tl.encode_image(tiled, "mean_rgb")
    record = tiled.uns[Keys.RECORD]["obsm.X_image"]
    assert record["by"] == "tl.encode_image"
    assert record["params"]["encoder"] == "mean_rgb"
    assert record["hashes"]["encoder"] == hs.nn.ENCODERS["mean_rgb"]().sha256
    assert len(record["hashes"]["image.S1"]) == 64


def test_own_encoder_is_used_in_full_batches(tiled: AnnData) -> None:
    encoder = Mean()
    copy = hs.tl.encode_image(tiled, encoder, batch_size=10, copy=True)
    assert isinstance(copy, AnnData)
    assert encoder.batches == [10, 10, 5]
    assert copy.obsm[Keys.X_IMAGE].shape == (25, 3)
    assert Keys.X_IMAGE not in tiled.obsm


def test_tiles_at_another_scale_warn_with_the_right_size(tiled: AnnData) -> None:
    tiled.obsm[Keys.TILES] += [-20, -20, 40, 40]
    with pytest.warns(UserWarning, match=r"1\.00 um per pixel.*made for 0\.5.*size_um=112"):
        hs.tl.encode_image(tiled, "mean_rgb")


@pytest.mark.parametrize(
    ("encoder", "options", "error", "says"),
    [
        ("stain_stat", {}, MissingError, "Did you mean stain_stats"),
        (object(), {}, OptionError, "encoder: found .* without"),
        (Mean, {}, OptionError, "encoder: found"),
        ("mean_rgb", {"batch_size": 0}, OptionError, "batch_size: found 0"),
        ("mean_rgb", {"num_workers": -1}, OptionError, "num_workers"),
        ("mean_rgb", {"tiles_key": "boxes"}, MissingError, r"obsm\['boxes'\].*pp\.tile"),
    ],
)
def test_bad_input_changes_nothing(tiled: AnnData, encoder: Any, options: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        hs.tl.encode_image(tiled, encoder, **options)
    assert list(tiled.obsm) == [Keys.SPATIAL, Keys.TILES]
    assert Keys.RECORD not in tiled.uns


def test_image_of_other_channels_is_refused() -> None:
    with pytest.raises(ImageError, match="8-bit RGB"):
        hs.tl.encode_image(_section(channels=1), "mean_rgb")


def test_all_boxes_nan_is_an_error(tiled: AnnData) -> None:
    tiled.obsm[Keys.TILES][:] = np.nan
    with pytest.raises(OptionError, match=r"obsm\['tiles'\]: found .* 0 finite boxes"):
        hs.tl.encode_image(tiled, "mean_rgb")


def test_failure_in_the_second_section_leaves_the_first_as_it_was(tiled: AnnData) -> None:
    broken = _section("S2")
    broken.uns[Keys.LIBRARIES] = {}
    with pytest.raises(MissingError):
        hs.tl.encode_image([tiled, broken], "mean_rgb")
    assert Keys.X_IMAGE not in tiled.obsm


def _five_times(adata: AnnData) -> AnnData:
    adata.obsm["spatial"] *= 5
    return adata


def test_tiles_outside_the_image_are_flagged_and_many_are_an_error() -> None:
    adata = cached_toy(n_spots=60)
    adata.obsm["spatial"][3] = 1e5
    hs.pp.tile(adata)
    with pytest.warns(UserWarning, match="1 of 60 outside the image"):
        hs.tl.encode_image(adata, "mean_rgb")
    np.testing.assert_array_equal(np.flatnonzero(~adata.obs["X_image_valid"]), [3])
    assert (adata.obsm["X_image"][3] == 0).all()
    with pytest.raises(ImageError, match=r"inside the image.*Correct that scale factor"):
        hs.pp.tile(_five_times(adata.copy()))
    adata.obsm["tiles"][:, :2] += 4 * adata.obsm["spatial"]  # as made before the image was linked
    _five_times(adata)
    before = adata.obsm["X_image"].copy()
    with pytest.raises(ImageError, match=r"outside the image.*do not belong together"):
        hs.tl.encode_image(adata, "mean_rgb")
    np.testing.assert_array_equal(adata.obsm["X_image"], before)


def test_image_too_coarse_for_the_encoder_warns() -> None:
    adata = cached_toy(n_spots=30)
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = 2.0
    hs.pp.tile(adata)
    with pytest.warns(UserWarning, match=r"2\.00 um per pixel .* no nuclei"):
        hs.tl.encode_image(adata, "mean_rgb")


def test_another_file_at_the_linked_path_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    adata = cached_toy(n_spots=30)
    library = adata.uns["spatial"]["toy_1"]
    path = tmp_path / "he.png"
    Image.fromarray(library["images"]["hires"]).save(path)
    library["metadata"] |= {"source_image_path": str(path), "image_sha256": sha256(path)}
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "mean_rgb")
    Image.fromarray(library["images"]["hires"][::-1]).save(path)
    with pytest.raises(ImageError, match="another file at"):
        hs.tl.encode_image(adata, "mean_rgb")


class Eosin(Mean):
    """Red less blue: what a stain changes most."""

    sha256 = "eosin"

    def __call__(self, tiles: Any) -> NDArray[np.float32]:
        return (tiles[..., :1].astype(float) - tiles[..., 2:]).mean(axis=(1, 2)).astype(np.float32)


def test_stain_maps_each_section_to_the_reference() -> None:
    from histoscribe.pp._fit_stain import fit_stain
    from histoscribe.pp._normalize_stain import normalize_stain

    adata = cached_toy(n_spots=60)
    hs.pp.tile(adata)
    image = adata.uns["spatial"]["toy_1"]["images"]["hires"]
    redder = np.clip(image.astype(float) * [1.0, 0.9, 0.75], 0, 255).astype(np.uint8)
    reference = fit_stain(redder)
    hs.tl.encode_image(adata, Eosin(), stain=reference)
    hs.tl.encode_image(adata, Eosin(), key_added="plain")
    own = fit_stain(adata)
    recoloured = normalize_stain(image, own, reference)[0]
    adata.uns["spatial"]["toy_1"]["images"]["hires"] = recoloured
    hs.tl.encode_image(adata, Eosin(), key_added="by_hand")
    stained, plain, by_hand = (adata.obsm[key][:, 0] for key in (Keys.X_IMAGE, "plain", "by_hand"))
    assert stained.mean() > plain.mean() + 5
    np.testing.assert_allclose(stained, by_hand, atol=1.5)  # resampled before and after
    assert adata.uns[Keys.RECORD]["obsm.X_image"]["hashes"]["stain"] == reference.sha256
    with pytest.raises(OptionError, match="stain: found 'macenko'"):
        hs.tl.encode_image(adata, Eosin(), stain="macenko")  # type: ignore[arg-type]


def test_module_is_loaded_and_options_reach_it(tiled: AnnData) -> None:
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model("vit_tiny_patch16_224", pretrained=False, num_classes=0, depth=1)
    hs.tl.encode_image(tiled, model, pooling="cls+mean", device="cpu")
    params = tiled.uns[Keys.RECORD]["obsm.X_image"]["params"]
    assert tiled.obsm[Keys.X_IMAGE].shape == (25, 2 * 192)
    assert (params["pooling"], params["size"], params["precision"]) == ("cls+mean", 224, "32")
    encoder = hs.nn.image.load_encoder(model, pooling="cls+mean", device="cpu")
    hs.tl.encode_image(tiled, encoder, key_added="loaded", batch_size=7, cache=False)
    np.testing.assert_allclose(tiled.obsm["loaded"], tiled.obsm[Keys.X_IMAGE], atol=1e-4)
    options: list[dict[str, Any]] = [{"pooling": "cls"}, {"device": "cpu"}, {"precision": "bf16"}]
    for option in options:
        with pytest.raises(OptionError, match=r"for an encoder object; expected None.*load_encoder"):
            hs.tl.encode_image(tiled, encoder, **option)


@pytest.mark.parametrize("shape", [(24, 3), (25,)])
def test_encoder_that_returns_other_rows_is_refused(tiled: AnnData, shape: tuple[int, ...]) -> None:
    encoder = Mean()
    encoder.__class__ = type("Odd", (Mean,), {"__call__": lambda self, tiles: np.zeros(shape, dtype=np.float32)})
    with pytest.raises(OptionError, match=r"encoder: found shape .* for 25 tiles"):
        hs.tl.encode_image(tiled, encoder)


def test_tiles_that_do_not_lie_on_their_spots_are_warned_of() -> None:
    adata = _section()
    adata.obsm[Keys.SPATIAL] = adata.obsm[Keys.SPATIAL] + [25, 0]
    with pytest.warns(UserWarning, match=r"25 pixels from their spots.*hs\.pp\.tile"):
        hs.tl.encode_image(adata, "mean_rgb", cache=False)
