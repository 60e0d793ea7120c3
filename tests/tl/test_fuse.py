from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

import histoscribe as hs
from histoscribe._errors import MissingError, OptionError
from histoscribe._keys import Keys, valid
from histoscribe.metrics import recall_at_k
from histoscribe.nn import Contrastive, TrainConfig

from .conftest import section

FUSED = (Keys.X_FUSED, Keys.X_FUSED_IMAGE, Keys.X_FUSED_GENES)


def _ari(adata: AnnData, use_rep: str, rows: Any = slice(None)) -> float:
    found = adata[rows].copy()
    hs.tl.domains_gmm(found, 4, use_rep=use_rep)
    return float(adjusted_rand_score(found.obs[Keys.TRUE_DOMAIN], found.obs[Keys.DOMAIN]))


def test_fused_vectors_tell_domains_apart_that_neither_modality_does(adata: AnnData, quick: TrainConfig) -> None:
    model = hs.tl.fuse(adata, Contrastive(), train=quick)
    assert model.meta["n_train"] + model.meta["n_val"] == 225
    assert _ari(adata, Keys.X_FUSED) > 0.9
    assert _ari(adata, Keys.X_IMAGE) < 0.7
    assert _ari(adata, Keys.X_GENES) < 0.7
    for key in FUSED:
        assert adata.obsm[key].dtype == np.float32
        assert adata.obs[valid(key)].all()
        np.testing.assert_allclose(np.linalg.norm(adata.obsm[key], axis=1), 1, rtol=1e-5)
    record = adata.uns[Keys.RECORD]["obsm.X_fused"]
    assert (record["by"], record["hashes"]) == ("tl.fuse", {"model": model.sha256})


def test_new_section_is_embedded_and_its_pairs_are_found(adata: AnnData) -> None:
    model = hs.tl.fuse(adata, Contrastive(), train=TrainConfig(epochs=40, accelerator="cpu"))
    new = section(196, seed=5, name="S9")
    hs.tl.embed(new, model)
    assert recall_at_k(new.obsm[Keys.X_FUSED_IMAGE], new.obsm[Keys.X_FUSED_GENES], 10) > 0.5  # by chance .05
    assert _ari(new, Keys.X_FUSED) > 0.9


def test_same_seed_same_bytes_and_global_states_untouched(quick: TrainConfig) -> None:
    first, second, third = section(), section(), section()
    before = torch.get_rng_state()
    a = hs.tl.fuse(first, Contrastive(), train=quick)
    b = hs.tl.fuse(second, Contrastive(), train=quick)
    c = hs.tl.fuse(third, Contrastive(), train=replace(quick, random_state=1))
    assert torch.equal(torch.get_rng_state(), before)
    assert a.sha256 == b.sha256 != c.sha256
    for key in FUSED:
        np.testing.assert_array_equal(first.obsm[key], second.obsm[key])


def test_embedding_the_training_section_gives_what_fuse_wrote(
    adata: AnnData, quick: TrainConfig, tmp_path: Path
) -> None:
    hs.tl.fuse(adata, Contrastive(), train=quick).save(tmp_path / "m")
    hs.tl.embed(adata, hs.nn.load(tmp_path / "m"), key_added="again")
    for key in FUSED:
        np.testing.assert_array_equal(adata.obsm[key.replace("X_fused", "again")], adata.obsm[key])


def test_half_of_the_spots_without_genes_do_not_cluster_apart(adata: AnnData, quick: TrainConfig) -> None:
    absent = np.random.default_rng(0).random(225) < 0.5
    adata.obs[valid(Keys.X_GENES)] = ~absent
    adata.obsm[Keys.X_GENES][absent] = 0
    model = hs.tl.fuse(adata, Contrastive(), train=quick)
    assert model.meta["n_train"] + model.meta["n_val"] == (~absent).sum()
    x = adata.obsm[Keys.X_FUSED]
    for k in (2, 4):
        labels = KMeans(k, n_init=10, random_state=0).fit_predict(x)
        assert abs(adjusted_rand_score(absent, labels)) < 0.05
    assert _ari(adata, Keys.X_FUSED, ~absent) > 0.9
    assert adata.obs[valid(Keys.X_FUSED)].all()
    np.testing.assert_array_equal(adata.obs[valid(Keys.X_FUSED_GENES)], ~absent)
    assert (adata.obsm[Keys.X_FUSED_GENES][absent] == 0).all()


def test_spot_without_either_stays_as_a_zero_row(adata: AnnData, quick: TrainConfig) -> None:
    for key in (Keys.X_IMAGE, Keys.X_GENES):
        adata.obs[valid(key)] = np.arange(225) != 7
    hs.tl.fuse(adata, Contrastive(), train=quick)
    assert np.flatnonzero(~adata.obs[valid(Keys.X_FUSED)].to_numpy()).tolist() == [7]
    assert (adata.obsm[Keys.X_FUSED][7] == 0).all()


def test_list_and_one_anndata_of_many_sections_are_the_same(quick: TrainConfig) -> None:
    import anndata as ad

    one, two = section(100, name="A"), section(100, seed=1, name="B")
    whole = ad.concat([one, two], uns_merge="unique")
    hs.tl.fuse([one, two], Contrastive(), train=quick)
    hs.tl.fuse(whole, Contrastive(), train=quick)
    np.testing.assert_array_equal(whole.obsm[Keys.X_FUSED][100:], two.obsm[Keys.X_FUSED])


@pytest.mark.parametrize(("modality", "slot"), [("image", Keys.X_FUSED_IMAGE), ("genes", Keys.X_FUSED_GENES)])
def test_one_modality_needs_nothing_of_the_other(adata: AnnData, quick: TrainConfig, modality: str, slot: str) -> None:
    model = hs.tl.fuse(adata, Contrastive(), train=quick)
    new = section(100, seed=2)
    del new.obsm[Keys.X_GENES if modality == "image" else Keys.X_IMAGE]
    copy = hs.tl.embed(new, model, modality=modality, copy=True)
    assert isinstance(copy, AnnData)
    assert [key for key in FUSED if key in copy.obsm] == [slot]
    assert not set(FUSED) & set(new.obsm)


def test_both_with_one_slot_predicts_the_other_half_and_says_so(adata: AnnData, quick: TrainConfig) -> None:
    model = hs.tl.fuse(adata, Contrastive(), train=quick)
    new = section(100, seed=2)
    del new.obsm[Keys.X_GENES]
    with pytest.warns(UserWarning, match=r"genes: no vectors in obsm.*predicted for all spots"):
        hs.tl.embed(new, model)
    assert [key for key in FUSED if key in new.obsm] == [Keys.X_FUSED, Keys.X_FUSED_IMAGE]
    assert new.obs[valid(Keys.X_FUSED)].all()
    width = 20
    assert (np.linalg.norm(new.obsm[Keys.X_FUSED][:, -width:], axis=1) > 0.3).all()


def test_vectors_of_an_earlier_model_do_not_stay_beside_new_ones(adata: AnnData, quick: TrainConfig) -> None:
    first, second = (hs.tl.fuse(adata.copy(), Contrastive(dim=dim), train=quick) for dim in (16, 8))
    new = section(100, seed=2)
    hs.tl.embed(new, first)
    del new.obsm[Keys.X_GENES]
    with pytest.warns(UserWarning, match="genes: no vectors"):
        hs.tl.embed(new, second)
    assert new.obsm[Keys.X_FUSED_GENES].shape == (100, 8)
    assert not new.obs[valid(Keys.X_FUSED_GENES)].any()
    assert new.uns[Keys.RECORD]["obsm.X_fused"]["inputs"] == ["obsm.X_image"]


def test_encoder_other_than_in_training_is_refused(adata: AnnData, quick: TrainConfig) -> None:
    def mark(one: AnnData, sha: str) -> None:
        one.uns[Keys.RECORD] = {"obsm.X_genes": {"hashes": {"encoder": sha}}}

    mark(adata, "a" * 64)
    model = hs.tl.fuse(adata, Contrastive(), train=quick)
    new = section(100, seed=2)
    mark(new, "b" * 64)
    with pytest.raises(OptionError, match=r"obsm\['X_genes'\]: found encoder bbb.*expected encoder aaa"):
        hs.tl.embed(new, model)
    with pytest.raises(OptionError, match="one for all sections"):
        hs.tl.fuse([adata, new], Contrastive(), train=quick)


@pytest.mark.parametrize(
    ("change", "config", "error", "says"),
    [
        (lambda a: a.obsm.pop(Keys.X_IMAGE), Contrastive(), MissingError, r"X_image.*tl\.encode_image"),
        (lambda a: None, Contrastive, OptionError, r"config: found .*hs\.nn\.Contrastive\(\)"),
        (lambda a: None, "contrastive", OptionError, "config"),
        (lambda a: a.obs.__setitem__(valid(Keys.X_GENES), False), Contrastive(), OptionError, "0 spots with"),
    ],
)
def test_bad_input_changes_nothing(adata: AnnData, change: Any, config: Any, error: Any, says: str) -> None:
    change(adata)
    before = [*adata.obsm, *adata.obs, *adata.uns]
    with pytest.raises(error, match=says):
        hs.tl.fuse(adata, config)
    assert [*adata.obsm, *adata.obs, *adata.uns] == before


@pytest.mark.parametrize(
    ("change", "options", "error", "says"),
    [
        (lambda a: None, {"modality": "gene"}, OptionError, "modality: found 'gene'"),
        (lambda a: a.obsm.pop(Keys.X_GENES), {"modality": "genes"}, MissingError, "X_genes"),
        (lambda a: None, {"image_rep": "X_uni"}, MissingError, "X_uni"),
        (lambda a: a.obsm.__setitem__(Keys.X_GENES, np.ones((225, 3))), {}, OptionError, "3 columns; expected 20"),
        (lambda a: [a.obsm.pop(k) for k in (Keys.X_GENES, Keys.X_IMAGE)], {}, MissingError, "at least one of them"),
    ],
)
def test_bad_embedding_changes_nothing(
    adata: AnnData, quick: TrainConfig, change: Any, options: Any, error: Any, says: str
) -> None:
    model = hs.tl.fuse(adata, Contrastive(), train=replace(quick, epochs=1))
    new = section()
    change(new)
    before = [*new.obsm, *new.obs, *new.uns]
    with pytest.raises(error, match=says):
        hs.tl.embed(new, model, **options)
    assert [*new.obsm, *new.obs, *new.uns] == before


def test_results_survive_h5ad(adata: AnnData, quick: TrainConfig, tmp_path: Path) -> None:
    import anndata as ad

    hs.tl.fuse(adata, Contrastive(), train=quick)
    adata.write_h5ad(tmp_path / "a.h5ad")
    back = ad.read_h5ad(tmp_path / "a.h5ad")
    np.testing.assert_array_equal(back.obsm[Keys.X_FUSED], adata.obsm[Keys.X_FUSED])
    assert back.uns[Keys.RECORD]["obsm.X_fused"]["by"] == "tl.fuse"


def test_a_column_that_a_section_lacks_leaves_its_rows_usable(adata: AnnData, quick: TrainConfig) -> None:
    table = pd.DataFrame(adata.obsm[Keys.X_GENES], adata.obs_names).add_prefix("set")
    table["set1"] = np.nan  # a gene set without measured genes
    table.iloc[3] = np.nan
    adata.obsm[Keys.SCORES] = table
    model = hs.tl.fuse(adata, Contrastive(), gene_rep=Keys.SCORES, train=quick)
    assert model.meta["n_train"] + model.meta["n_val"] == adata.n_obs - 1
    assert recall_at_k(adata.obsm[Keys.X_FUSED_IMAGE], adata.obsm[Keys.X_FUSED_GENES], 10) > 0.3  # by chance .04
    hs.tl.domains_gmm(adata, 4, use_rep=Keys.SCORES)
    assert adata.obs[Keys.DOMAIN].isna().sum() == 1
    before = adata.obsm[Keys.X_FUSED_GENES].copy()
    adata.obsm[Keys.SCORES]["set1"] = 1e3  # nothing was learned of it: it says nothing
    hs.tl.embed(adata, model)
    np.testing.assert_allclose(adata.obsm[Keys.X_FUSED_GENES], before, atol=1e-5)


def test_a_column_is_missing_by_section(quick: TrainConfig) -> None:
    joined = ad.concat([section(100, seed=k, name=f"S{k}") for k in range(2)], index_unique="-", uns_merge="unique")
    table = pd.DataFrame(joined.obsm[Keys.X_GENES], joined.obs_names).add_prefix("set")
    table.loc[joined.obs["library_id"] == "S1", "set1"] = np.nan
    table.loc[joined.obs_names[0], "set2"] = np.nan  # alone in its section: nobody knows why
    joined.obsm[Keys.SCORES] = table
    model = hs.tl.fuse(joined, Contrastive(), gene_rep=Keys.SCORES, train=quick)
    assert model.meta["n_train"] + model.meta["n_val"] == joined.n_obs - 1
    assert np.flatnonzero(~joined.obs[valid(Keys.X_FUSED_GENES)]).tolist() == [0]
