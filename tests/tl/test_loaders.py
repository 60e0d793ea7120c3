import numpy as np
import pytest
import torch
from anndata import AnnData
from scipy.spatial import cKDTree

from histoscribe._errors import OptionError, ScaleError
from histoscribe._keys import Keys, valid
from histoscribe.tl._loaders import blocks, gather, held_out, parts, section_codes

from .conftest import section

SLOTS = {"image": Keys.X_IMAGE, "genes": Keys.X_GENES}


def test_rows_keep_their_order_and_boxes_come_in_um(adata: AnnData) -> None:
    other = section(100, seed=1, name="S2")
    batch = gather([adata, other], SLOTS)
    np.testing.assert_array_equal(batch["image"][225:], other.obsm[Keys.X_IMAGE])
    np.testing.assert_allclose(batch["boxes"][:225], adata.obsm[Keys.TILES] * 0.5)
    assert batch["section"].tolist() == [0] * 225 + [1] * 100
    back = parts([adata, other], batch["genes"].numpy())
    np.testing.assert_array_equal(back[1], other.obsm[Keys.X_GENES])


def test_the_same_name_in_two_anndatas_is_two_sections(adata: AnnData) -> None:
    assert section_codes([adata, adata])[[0, -1]].tolist() == [0, 1]


def test_flagged_and_nan_rows_are_not_valid_and_zero(adata: AnnData) -> None:
    adata.obs[valid(Keys.X_IMAGE)] = np.arange(225) != 3
    adata.obsm[Keys.X_IMAGE][5] = np.nan
    batch = gather([adata], SLOTS)
    assert np.flatnonzero(~batch["image_valid"].numpy()).tolist() == [3, 5]
    assert (batch["image"][[3, 5]] == 0).all()
    assert batch["genes_valid"].all()


def test_sections_without_tiles_have_unknown_boxes(adata: AnnData) -> None:
    del adata.obsm[Keys.TILES]
    assert torch.isnan(gather([adata], SLOTS)["boxes"]).all()


def test_tiles_without_a_scale_are_an_error(adata: AnnData) -> None:
    del adata.uns[Keys.LIBRARIES]
    with pytest.raises(ScaleError, match="mpp"):
        gather([adata], SLOTS)


def test_sections_of_other_widths_are_refused(adata: AnnData) -> None:
    other = section(100, name="S2")
    other.obsm[Keys.X_IMAGE] = other.obsm[Keys.X_IMAGE][:, :5]
    with pytest.raises(OptionError, match=r"obsm\['X_image'\]: found widths \[5, 24\]"):
        gather([adata, other], SLOTS)


def _grid(n_sections: int, side: int = 20) -> tuple[np.ndarray, np.ndarray]:
    xy = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2).astype(float)
    return np.tile(xy, (n_sections, 1)), np.repeat(np.arange(n_sections), side * side)


@pytest.mark.parametrize("n_sections", [1, 2, 4])
def test_held_out_spots_are_blocks_of_each_section(n_sections: int) -> None:
    xy, of = _grid(n_sections)
    chosen = blocks(xy, of, np.ones(len(xy), bool), 0.1, np.random.default_rng(0))
    for s in range(n_sections):
        own = chosen[of == s]
        assert own.sum() == pytest.approx(40, abs=3)
        _, near = cKDTree(xy[of == s]).query(xy[of == s][own], k=5)
        assert own[near].mean() > 0.7  # at random: 0.28


def test_with_five_sections_whole_ones_are_held_out() -> None:
    xy, of = _grid(5)
    chosen = blocks(xy, of, np.ones(len(xy), bool), 0.2, np.random.default_rng(0))
    assert [chosen[of == s].mean() for s in range(5)].count(1.0) == 1
    assert chosen.sum() == 400


def test_rows_that_do_not_count_and_have_no_place_are_never_held_out() -> None:
    xy, of = _grid(1)
    xy[::2] = np.nan
    rows = np.arange(400) % 3 > 0
    chosen = blocks(xy, of, rows, 0.4, np.random.default_rng(0))
    assert chosen.any()
    assert not chosen[~rows].any()
    assert not chosen[::2].any()


def test_held_out_spots_are_enough_for_a_loss_or_none(adata: AnnData) -> None:
    section, rows = section_codes([adata]), np.ones(225, bool)
    few = np.arange(225) < 50
    with pytest.warns(UserWarning, match="50 spots are too few to hold some out"):
        assert not held_out([adata], section, few, 0.2, 0).any()
    assert held_out([adata], section, rows, 0.01, 0).sum() == pytest.approx(16, abs=2)
    assert held_out([adata], section, rows, 0.2, 0).sum() == pytest.approx(45, abs=2)
    assert not held_out([adata], section, rows, 0, 0).any()
