from typing import Any

import numpy as np
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import HistoscribeError, OptionError, ScaleError


def test_tile_is_centred_on_its_spot_and_has_the_size_asked_for() -> None:
    adata = hs.datasets.toy(n_spots=30)
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = 0.5
    hs.pp.tile(adata, size_um=112, context=3)
    x, y, w, h = adata.obsm["tiles"].T
    np.testing.assert_allclose(np.column_stack([x + w / 2, y + h / 2]), adata.obsm["spatial"])
    np.testing.assert_allclose(w * 0.5, 3 * 112)
    np.testing.assert_allclose(h, w)
    assert adata.uns["histoscribe"]["obsm.tiles"]["params"]["context"] == 3


def test_each_section_takes_its_own_scale() -> None:
    slides = hs.datasets.toy(n_slides=2, n_spots=30)
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
    adata = hs.datasets.toy(n_spots=30)
    adata.obsm["spatial"][4] = np.nan
    hs.pp.tile(adata)
    assert np.isnan(adata.obsm["tiles"][4]).all()
    assert adata.n_obs == 30
    np.testing.assert_array_equal(np.flatnonzero(~adata.obs["tiles_valid"]), [4])


def test_unsigned_positions_do_not_wrap() -> None:
    adata = hs.datasets.toy(n_spots=30)
    adata.obsm["spatial"] = np.full((30, 2), 10, dtype=np.uint16)
    hs.pp.tile(adata)
    assert (adata.obsm["tiles"][:, 0] == 10 - 56).all()


@pytest.mark.parametrize("mpp", [None, 0, -1, float("nan"), 352.8, "0.5um"])
def test_scale_is_never_guessed(mpp: object) -> None:
    adata = hs.datasets.toy(n_spots=30)
    adata.uns["spatial"]["toy_1"]["metadata"]["mpp"] = mpp
    with pytest.raises(ScaleError, match=r"uns\['spatial'\]\['toy_1'\]\['metadata'\]\['mpp'\]"):
        hs.pp.tile(adata)
    assert "tiles" not in adata.obsm


@pytest.mark.parametrize(
    ("options", "named"), [({"size_um": 0}, "size_um"), ({"size_um": "112"}, "size_um"), ({"context": 0.5}, "context")]
)
def test_wrong_sizes_are_refused(options: dict[str, Any], named: str) -> None:
    with pytest.raises(OptionError, match=named):
        hs.pp.tile(hs.datasets.toy(n_spots=30), **options)


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
