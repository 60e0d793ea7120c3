import numpy as np
import pytest
import torch
from anndata import AnnData

from histoscribe._errors import OptionError, ScaleError
from histoscribe._keys import Keys, valid
from histoscribe.tl._loaders import gather, parts, section_codes

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
