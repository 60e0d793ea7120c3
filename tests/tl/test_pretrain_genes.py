from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData
from anndata import concat as together

import histoscribe as hs
from histoscribe._errors import CountsError, OptionError, ScaleError
from histoscribe._vocabulary import PAD
from histoscribe.tl._encode_tokens import batches_of_like_length

from ..toys import cached_toy

CONFIG = hs.nn.GeneEncoder(dim=16, depth=1, heads=2, hidden=16, n_tokens=60, context="set", intrinsic_share=0)
TRAIN = hs.nn.TrainConfig(epochs=2, batch_size=36, val_fraction=0)


@pytest.fixture(scope="module")
def pair() -> list[AnnData]:
    sections: list[AnnData] = cached_toy(n_slides=2, n_spots=60, n_genes=200)
    return sections


@pytest.fixture(scope="module")
def model(pair: list[AnnData]) -> hs.nn.Model:
    return hs.tl.pretrain_genes(pair, CONFIG, train=TRAIN)


def test_same_seed_same_model_other_seed_another(pair: list[AnnData], model: hs.nn.Model) -> None:
    assert hs.tl.pretrain_genes(pair, CONFIG, train=TRAIN).sha256 == model.sha256
    other = hs.nn.TrainConfig(epochs=2, batch_size=36, val_fraction=0, random_state=1)
    assert hs.tl.pretrain_genes(pair, CONFIG, train=other).sha256 != model.sha256


def test_a_list_is_one_anndata_of_its_sections(pair: list[AnnData], model: hs.nn.Model) -> None:
    one = together(pair, uns_merge="unique")
    joined = hs.tl.pretrain_genes(one, CONFIG, train=TRAIN)
    assert joined.history == model.history


def test_from_files_it_is_the_same_model(pair: list[AnnData], model: hs.nn.Model, tmp_path: Path) -> None:
    for number, one in enumerate(pair):
        bare = AnnData(one.X, obs=one.obs, var=one.var, layers={"counts": one.layers["counts"]})
        bare.obsm["spatial"] = one.obsm["spatial"]
        bare.uns["spatial"] = {name: {"metadata": library["metadata"]} for name, library in one.uns["spatial"].items()}
        hs.io.write(bare, tmp_path / f"{number}.h5ad")
    for sections in ([tmp_path / "0.h5ad", str(tmp_path / "1.h5ad")], [pair[0], tmp_path / "1.h5ad"]):
        found = hs.tl.pretrain_genes(sections, CONFIG, train=TRAIN)
        assert found.sha256 == model.sha256
        assert found.history == model.history
        assert found.meta == model.meta


def test_order_of_spots_and_of_genes_makes_no_difference(pair: list[AnnData], model: hs.nn.Model) -> None:
    rng = np.random.default_rng(0)
    mixed = [one[rng.permutation(one.n_obs)].copy() for one in pair]
    vocabulary = hs.pp.Vocabulary.from_json(model.meta["vocabulary"])
    found = hs.tl.pretrain_genes(mixed, CONFIG, train=TRAIN, vocabulary=vocabulary)
    assert found.sha256 == model.sha256


def test_sections_are_read_and_left_alone(pair: list[AnnData], model: hs.nn.Model) -> None:
    assert all("X_genes" not in one.obsm and "gene_tokens" not in one.obsm for one in pair)
    assert model.meta["n_spots"] == 120
    assert model.meta["max_extent_um"] == pytest.approx(600)


def test_vectors_are_those_of_the_module(pair: list[AnnData], model: hs.nn.Model) -> None:
    import torch

    adata = pair[0].copy()
    there = sp.diags((np.arange(60) != 7).astype(np.float32))
    adata.layers["counts"] = (there @ adata.layers["counts"]).tocsr()
    hs.tl.encode_genes(adata, model)
    vocabulary = hs.pp.Vocabulary.from_json(model.meta["vocabulary"])
    hs.pp.tokenize_genes(adata, vocabulary, n_tokens=60)
    for row in (0, 7, 33):
        tokens = adata.obsm["gene_tokens"][row].astype(np.int64)
        alone = model.module.embed(torch.from_numpy(tokens[tokens != PAD][None])).detach().numpy()[0]
        np.testing.assert_allclose(adata.obsm["X_genes"][row], alone, atol=1e-5)
    assert adata.obs["X_genes_valid"].tolist() == [k != 7 for k in range(60)]
    assert not adata.obsm["X_genes"][7].any()


def test_model_comes_back_from_disk(pair: list[AnnData], model: hs.nn.Model, tmp_path: object) -> None:
    model.save(f"{tmp_path}/genes")
    first, again = pair[0].copy(), pair[0].copy()
    hs.tl.encode_genes(first, model)
    hs.tl.encode_genes(again, hs.nn.load(f"{tmp_path}/genes"))
    assert np.array_equal(first.obsm["X_genes"], again.obsm["X_genes"])


def test_wrong_inputs_are_refused(pair: list[AnnData]) -> None:
    with pytest.raises(OptionError, match="config"):
        hs.tl.pretrain_genes(pair, hs.nn.PCA(), train=TRAIN)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="rank"):
        hs.tl.pretrain_genes(pair, CONFIG, train=TRAIN, rank="median")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match=r"GeneEncoder\.dim: found 10000000; expected 65,536 at most"):
        hs.tl.pretrain_genes(pair, hs.nn.GeneEncoder.tiny(dim=10_000_000))
    with pytest.raises(OptionError, match="train"):
        hs.tl.pretrain_genes(pair, CONFIG, train=3)  # type: ignore[arg-type]
    normalised, unscaled, empty = (pair[0].copy() for _ in range(3))
    normalised.layers["counts"] = np.log1p(normalised.layers["counts"].toarray() / 3)
    with pytest.raises(CountsError, match="log-normalised"):
        hs.tl.pretrain_genes(normalised, CONFIG, train=TRAIN)
    del unscaled.uns["spatial"]
    with pytest.raises(ScaleError, match="mpp"):
        hs.tl.pretrain_genes(unscaled, CONFIG, train=TRAIN)
    empty.layers["counts"] = empty.layers["counts"] * 0
    with pytest.raises(OptionError, match="spots"):
        hs.tl.pretrain_genes(empty, CONFIG, train=TRAIN, vocabulary=hs.pp.fit_vocabulary(pair))


def test_batches_hold_each_spot_once_and_are_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(0, 50, 200)
    batches = list(batches_of_like_length(lengths, at_once=100))
    assert sorted(np.concatenate(batches)) == np.flatnonzero(lengths).tolist()
    for rows in batches:
        assert len(rows) == 1 or len(rows) * lengths[rows].max() <= 100
    padding = sum(len(rows) * lengths[rows].max() - lengths[rows].sum() for rows in batches)
    assert padding < 0.1 * lengths.sum()
