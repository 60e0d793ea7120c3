from pathlib import Path
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from PIL import Image

import histoscribe as hs
from histoscribe._errors import HistoscribeError, OptionError, ScaleError

from ..toys import cached_toy


def test_tile_is_centred_on_its_spot_and_has_the_size_asked_for() -> None:
    adata = cached_toy(n_spots=30)
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = 0.5
    hs.pp.tile(adata, size_um=112, context=3)
    x, y, w, h = adata.obsm["tiles"].T
    np.testing.assert_allclose(np.column_stack([x + w / 2, y + h / 2]), adata.obsm["spatial"])
    np.testing.assert_allclose(w * 0.5, 3 * 112)
    np.testing.assert_allclose(h, w)
    assert adata.uns["histoscribe"]["obsm.tiles"]["params"]["context"] == 3


def test_each_section_takes_its_own_scale() -> None:
    slides = cached_toy(n_slides=2, n_spots=30)
    slides[1].uns["spatial"]["toy_2"]["metadata"]["mpp"] = 0.25
    import anndata

    both = anndata.concat(slides, uns_merge="unique")
    both.uns["spatial"] = {k: v for s in slides for k, v in s.uns["spatial"].items()}
    hs.pp.tile(both)
    assert set(both.obsm["tiles"][:30, 2]) == {112.0}
    assert set(both.obsm["tiles"][30:, 2]) == {448.0}
    hs.pp.tile(slides)
    np.testing.assert_array_equal(np.vstack([s.obsm["tiles"] for s in slides]), both.obsm["tiles"])


def test_spot_without_position_stays_and_is_flagged() -> None:
    adata = cached_toy(n_spots=30)
    adata.obsm["spatial"][4] = np.nan
    hs.pp.tile(adata)
    assert np.isnan(adata.obsm["tiles"][4]).all()
    assert adata.n_obs == 30
    np.testing.assert_array_equal(np.flatnonzero(~adata.obs["tiles_valid"]), [4])


def test_unsigned_positions_do_not_wrap() -> None:
    adata = cached_toy(n_spots=30)
    adata.obsm["spatial"] = np.column_stack([np.full(30, 10), np.arange(30)]).astype(np.uint16)
    hs.pp.tile(adata)
    assert (adata.obsm["tiles"][:, 0] == 10 - 56).all()
    assert adata.obsm["tiles"][:, 1].tolist() == [y - 56 for y in range(30)]


@pytest.mark.parametrize("mpp", [None, 0, -1, float("nan"), 352.8, "0.5um"])
def test_scale_is_never_guessed(mpp: object) -> None:
    adata = cached_toy(n_spots=30)
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = mpp
    with pytest.raises(ScaleError, match=r"uns\['spatial'\]\['toy_1'\]\['metadata'\]\['mpp'\]"):
        hs.pp.tile(adata)
    assert "tiles" not in adata.obsm


@pytest.mark.parametrize(
    ("options", "named"), [({"size_um": 0}, "size_um"), ({"size_um": "112"}, "size_um"), ({"context": 0.5}, "context")]
)
def test_wrong_sizes_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        hs.pp.tile(cached_toy(n_spots=30), **options)


@pytest.mark.parametrize(
    ("adata", "found"),
    [
        (AnnData(np.ones((0, 3))), "0 observations"),
        ([], "empty list"),
        ({"a": 1}, "dict"),
        (AnnData(np.ones((3, 3))), "spatial"),
    ],
)
def test_what_cannot_be_tiled_says_why(adata: Any, found: str) -> None:
    with pytest.raises(HistoscribeError, match=found):
        hs.pp.tile(adata)


def test_several_contexts_are_several_slots_each_as_if_made_alone() -> None:
    adata, alone = cached_toy(n_spots=30), cached_toy(n_spots=30)
    for one in (adata, alone):
        one.obsm["spatial"][3] = np.nan
    hs.pp.tile(adata, size_um=80, context=(5, 1, 2.5))
    for key, context in (("tiles", 1), ("tiles_x2.5", 2.5), ("tiles_x5", 5)):
        hs.pp.tile(alone, size_um=80, context=context, key_added="alone")
        np.testing.assert_array_equal(adata.obsm[key], alone.obsm["alone"])
        np.testing.assert_array_equal(np.flatnonzero(~adata.obs[f"{key}_valid"]), [3])
    assert set(adata.obsm) == {*alone.obsm, "tiles", "tiles_x2.5", "tiles_x5"} - {"alone"}
    assert adata.uns["histoscribe"]["obsm.tiles_x5"]["params"]["context"] == [1.0, 2.5, 5.0]


def test_the_smallest_context_takes_the_name_asked_for() -> None:
    adata = cached_toy(n_spots=30)
    hs.pp.tile(adata, size_um=100, context=[6, 3], key_added="wide")
    np.testing.assert_allclose(adata.obsm["wide"][:, 2], 300)
    np.testing.assert_allclose(adata.obsm["wide_x6"][:, 2], 600)
    assert "tiles" not in adata.obsm


@pytest.mark.parametrize("context", [(), (1, 1), (1, 3.0, 3), (1, 1.0000001), (1, 0.5), (1, np.nan), "3", (True, 3)])
def test_wrong_contexts_are_refused(context: Any) -> None:
    adata = cached_toy(n_spots=30)
    with pytest.raises(OptionError, match="context"):
        hs.pp.tile(adata, context=context)
    assert "tiles" not in adata.obsm


def test_what_an_earlier_call_left_is_named_where_it_no_longer_fits(caplog: pytest.LogCaptureFixture) -> None:
    adata = cached_toy(n_spots=30)
    hs.pp.tile(adata, context=(1, 3))
    left = adata.obsm["tiles_x3"].copy()
    hs.pp.tile(adata, context=(1, 2))
    hs.pp.tile(adata, context=2)
    assert "tiles_x" not in caplog.text  # all of one size around the same centres
    hs.pp.tile(adata, size_um=55)
    assert "'tiles_x3'" in caplog.text
    assert "'tiles_x2'" in caplog.text
    np.testing.assert_array_equal(adata.obsm["tiles_x3"], left)
    caplog.clear()
    hs.pp.tile(adata, size_um=55, context=(1, 2, 3))
    adata.obsm["spatial"][7] += 1  # as registration does
    hs.pp.tile(adata, size_um=55)
    assert "'tiles_x3'" in caplog.text


def test_tiles_of_a_slide_take_another_size_around_the_same_centres(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.normal((190, 120, 180), 15, (300, 400, 3)).clip(0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    adata = hs.io.tile_slide(tmp_path / "slide.png", mpp=1.0, size_um=50)
    before = adata.obsm["tiles"].copy()
    hs.pp.tile(adata, size_um=20, context=(1, 2.5))
    np.testing.assert_allclose(adata.obsm["tiles_x2.5"], before)
    np.testing.assert_allclose(adata.obsm["tiles"][:, :2] + 10, before[:, :2] + 25)
