"""A gene encoder that is trained further inside a fusion model."""

import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from anndata import AnnData
from scipy.sparse import csr_matrix
from torch.nn import functional as F

import histoscribe as hs
from histoscribe._errors import CountsError, FileError, MissingError, OptionError, TrainingError
from histoscribe._keys import Keys, valid
from histoscribe.metrics import recall_at_k
from histoscribe.nn import Contrastive, GeneEncoder, Model, TrainConfig
from histoscribe.tl._fusion_genes import FusionGenes

from ..marks import weekly
from ..toys import cached_toy

QUICK = TrainConfig(epochs=4, batch_size=32, accelerator="cpu", clip=None, val_fraction=0.0)
RANKS = ("mean", "section")


def _sections(n: int = 2) -> list[AnnData]:
    """Sections whose image vectors say the planted pathways, and nothing else."""
    adatas = cached_toy(n_slides=n, n_spots=120, n_genes=200)
    for k, one in enumerate(adatas):
        x = one.obsm[Keys.TRUE_PATHWAYS].to_numpy()
        mix = np.random.default_rng(0).normal(size=(x.shape[1], 16))
        noise = 0.1 * np.random.default_rng(k).normal(size=(len(x), 16))
        one.obsm[Keys.X_IMAGE] = (x @ mix + noise).astype(np.float32)
    return adatas


def _encoder(adatas: list[AnnData], rank: Any = "mean", **options: Any) -> Model:
    config = GeneEncoder.tiny(**{"dim": 32, "n_tokens": 40, "context": None, **options})
    return hs.tl.pretrain_genes(adatas, config, rank=rank, train=TrainConfig(epochs=0, accelerator="cpu"))


@pytest.fixture(scope="module")
def adatas() -> list[AnnData]:
    return _sections()


@pytest.fixture(scope="module", params=RANKS)
def encoder(request: pytest.FixtureRequest, adatas: list[AnnData]) -> Model:
    return _encoder(adatas, request.param)


@pytest.fixture(scope="module")
def fused(adatas: list[AnnData], encoder: Model) -> Model:
    config = Contrastive(dim=16, trunk_rate=1.0, layer_decay=1.0)
    return hs.tl.fuse(adatas, config, gene_model=encoder, train=QUICK)


def _network(model: Model) -> dict[str, torch.Tensor]:
    return dict(model.module.gene_encoder.network.state_dict())


@pytest.mark.parametrize("rank", ["section", *weekly("mean")])
def test_at_a_rate_of_zero_it_is_what_its_vectors_give(rank: str) -> None:
    adatas = _sections()
    encoder = _encoder(adatas, rank)
    hs.tl.encode_genes(adatas, encoder)
    config = Contrastive(dim=16, dropout=0.0, trunk_rate=0.0)
    hs.tl.fuse(adatas, config, train=QUICK)
    wanted = [{key: one.obsm[key] for key in one.obsm if key.startswith("X_fused")} for one in adatas]
    assert len(wanted[0]) == 3
    model = hs.tl.fuse(adatas, config, gene_model=encoder, train=QUICK)
    for one, vectors in zip(adatas, wanted, strict=True):
        for key, x in vectors.items():
            np.testing.assert_allclose(one.obsm[key], x, atol=2e-4, err_msg=key)
    for name, weight in _network(model).items():
        assert torch.equal(weight, encoder.module.state_dict()[name]), name


def test_it_is_trained_and_the_one_that_was_passed_is_not(adatas: list[AnnData], encoder: Model, fused: Model) -> None:
    before = encoder.sha256
    assert fused.meta["encoders"]["genes"] == before
    hs.tl.fuse(adatas, Contrastive(dim=16), gene_model=encoder, train=replace(QUICK, epochs=1))
    assert encoder.sha256 == before
    own = encoder.module.state_dict()
    still = [name for name, weight in _network(fused).items() if torch.equal(weight, own[name])]
    assert still == []


@pytest.mark.weekly
def test_pairs_teach_it_what_its_vectors_did_not_say() -> None:
    *train, new = _sections(3)
    encoder = _encoder(train, start="random", dim=8)
    config, long = Contrastive(dim=16, trunk_rate=1.0, layer_decay=1.0), replace(QUICK, epochs=25)
    recall, gene_models = {}, {"frozen": None, "trained": encoder}
    for name, gene_model in gene_models.items():
        hs.tl.encode_genes([*train, new], encoder)
        model = hs.tl.fuse(train, config, train=long, gene_model=gene_model)
        hs.tl.embed(new, model)
        recall[name] = recall_at_k(new.obsm[Keys.X_FUSED_IMAGE], new.obsm[Keys.X_FUSED_GENES], 10)
    assert recall["trained"] > recall["frozen"] + 0.1, recall


def test_embed_makes_what_fuse_wrote_also_when_loaded(adatas: list[AnnData], encoder: Model, tmp_path: Path) -> None:
    model = hs.tl.fuse(adatas, Contrastive(dim=16, trunk_rate=1.0), gene_model=encoder, train=QUICK)
    model.save(tmp_path / "model")
    loaded = hs.nn.load(tmp_path / "model")
    assert loaded.sha256 == model.sha256
    for one in adatas:
        wanted = {key: one.obsm[key].copy() for key in (Keys.X_FUSED, Keys.X_FUSED_IMAGE, Keys.X_FUSED_GENES)}
        hs.tl.embed(one, loaded)
        for key, x in wanted.items():
            np.testing.assert_array_equal(one.obsm[key], x, err_msg=key)


def test_vectors_stand_where_training_saw_them(encoder: Model) -> None:
    """What is subtracted in training is the mean of before; afterwards the scale makes up for it, of one section exactly."""
    adata = _sections()[0]
    model = hs.tl.fuse(adata, Contrastive(dim=16, trunk_rate=1.0), gene_model=encoder, train=QUICK)
    before = FusionGenes([adata], encoder, layer=None, library_key=Keys.LIBRARY_ID, device="cpu")
    module = model.module
    with torch.no_grad():
        x = module.gene_encoder(before.served) - before.before.mean(dim=0)
        seen = F.normalize(module.genes.head(x / module.genes.scale.scale), dim=-1)
    np.testing.assert_allclose(adata.obsm[Keys.X_FUSED_GENES], seen.numpy(), atol=1e-5)


@pytest.mark.weekly
def test_a_gene_weighs_what_its_counts_do() -> None:
    adata = cached_toy(n_spots=100, n_genes=200)
    hs.pp.tile(adata)
    hs.tl.encode_image(adata, "stain_stats")
    encoder = _encoder([adata], n_tokens=200)  # all genes: none moves up from beyond the last
    model = hs.tl.fuse(adata, Contrastive(dim=16, trunk_rate=1.0), gene_model=encoder, train=QUICK)
    name = adata.obs_names[7]
    found = hs.tl.attribute(adata, model, name, encoder="stain_stats", n_patches=4)
    whole = _cosine(adata, model, name)
    assert found.cosine == pytest.approx(whole, abs=1e-5)
    for gene, value in found.genes.iloc[[0, 3, -1]].items():
        without = adata.copy()
        counts = without.layers[Keys.COUNTS].toarray()
        counts[without.obs_names == name, without.var_names == gene] = 0
        without.layers[Keys.COUNTS] = csr_matrix(counts)
        assert value == pytest.approx(whole - _cosine(without, model, name), abs=1e-5)
    with pytest.raises(OptionError, match=r"gene_model.*of its own"):
        hs.tl.attribute(adata, model, name, encoder="stain_stats", gene_model=encoder)


def _cosine(adata: AnnData, model: Model, name: str) -> float:
    embedded: Any = hs.tl.embed(adata, model, copy=True)
    one = embedded[name]
    return float((one.obsm[Keys.X_FUSED_IMAGE] * one.obsm[Keys.X_FUSED_GENES]).sum())


def test_a_bare_slide_is_embedded_by_its_image(adatas: list[AnnData], fused: Model) -> None:
    adata = adatas[0]
    bare = AnnData(obs=adata.obs[[Keys.LIBRARY_ID]].copy())
    bare.obsm[Keys.X_IMAGE] = adata.obsm[Keys.X_IMAGE]
    with pytest.warns(UserWarning, match=r"genes: no counts"):
        hs.tl.embed(bare, fused)
    assert Keys.X_FUSED_GENES not in bare.obsm
    assert bare.obs[valid(Keys.X_FUSED)].all()
    hs.tl.embed(adata, fused)
    np.testing.assert_array_equal(bare.obsm[Keys.X_FUSED_IMAGE], adata.obsm[Keys.X_FUSED_IMAGE])


def test_spots_without_counts_are_filled_and_do_not_train(adatas: list[AnnData], encoder: Model) -> None:
    adata = adatas[0].copy()
    counts = adata.layers[Keys.COUNTS].toarray()
    counts[:5] = 0
    adata.layers[Keys.COUNTS] = csr_matrix(counts)
    model = hs.tl.fuse(adata, Contrastive(dim=16), gene_model=encoder, train=QUICK)
    assert model.meta["n_train"] == adata.n_obs - 5
    assert adata.obs[valid(Keys.X_FUSED_GENES)].tolist() == [False] * 5 + [True] * (adata.n_obs - 5)
    assert adata.obs[valid(Keys.X_FUSED)].all()


def test_queries_are_compared_with_their_whole_section(adatas: list[AnnData], fused: Model) -> None:
    adata = adatas[0]
    every = hs.tl.retrieve(adata, adata, fused, modality="genes", k=3).set_index("query")
    names = [adata.obs_names[k] for k in (50, 3)]
    some = hs.tl.retrieve(adata, names, fused, modality="genes", k=3).set_index("query")
    assert some["match"].tolist() == every.loc[names, "match"].tolist()
    np.testing.assert_array_equal(some["cosine"], every.loc[names, "cosine"])


def test_its_vectors_are_written_by_encode_genes(adatas: list[AnnData], fused: Model) -> None:
    adata = adatas[0].copy()
    hs.tl.encode_genes(adata, fused)
    batch = {"genes": torch.from_numpy(adata.obsm[Keys.X_GENES])}
    hs.tl.embed(adata, fused, modality="genes")
    with torch.no_grad():
        np.testing.assert_allclose(adata.obsm[Keys.X_FUSED_GENES], fused.module.embed(batch, "genes"), atol=1e-6)


def test_what_can_not_be_trained_is_refused(adatas: list[AnnData], fused: Model) -> None:
    with pytest.raises(OptionError, match=r"gene_model.*PCA"):
        hs.tl.fuse(adatas, Contrastive(), gene_model=hs.tl.fit_pca(adatas, n_comps=5))
    with pytest.raises(OptionError, match=r"gene_model.*Contrastive"):
        hs.tl.fuse(adatas, Contrastive(), gene_model=fused)
    with pytest.raises(OptionError, match=r"gene_rep.*reads counts"):
        hs.tl.embed(adatas[0], fused, gene_rep="X_genes")


def test_a_run_is_not_resumed_with_another_gene_model(adatas: list[AnnData], tmp_path: Path) -> None:
    first = _encoder(adatas)
    second = hs.tl.pretrain_genes(adatas, first.config, train=TrainConfig(epochs=0, random_state=5, accelerator="cpu"))
    train = replace(QUICK, epochs=2, checkpoint_dir=tmp_path)
    model = hs.tl.fuse(adatas, Contrastive(dim=16), gene_model=first, train=train)
    again = hs.tl.fuse(adatas, Contrastive(dim=16), gene_model=first, train=replace(train, resume=True))
    assert again.sha256 == model.sha256
    assert first.sha256 != second.sha256
    with pytest.raises(FileError, match="another gene_model"):
        hs.tl.fuse(adatas, Contrastive(dim=16), gene_model=second, train=replace(train, resume=True))


def test_of_a_list_each_section_is_embedded_by_what_it_has(adatas: list[AnnData], fused: Model) -> None:
    one, bare = adatas[0].copy(), adatas[1].copy()
    bare.X = None
    del bare.layers[Keys.COUNTS]
    alone: Any = hs.tl.embed(one, fused, copy=True)
    with pytest.warns(UserWarning, match=r"genes: no counts of 'toy_2'; that half"):
        hs.tl.embed([one, bare], fused)
    for key in (Keys.X_FUSED, Keys.X_FUSED_IMAGE, Keys.X_FUSED_GENES):
        np.testing.assert_array_equal(one.obsm[key], alone.obsm[key])
    assert bare.obs[valid(Keys.X_FUSED)].all()
    del bare.obsm[Keys.X_IMAGE]
    with pytest.raises(MissingError, match=r"adata of 'toy_2'.*X_image.*counts.*hs\.tl\.encode_image.*raw counts"):
        hs.tl.embed([one, bare], fused)


def test_counts_are_read_from_the_layer_of_training_unless_another_is_named(adatas: list[AnnData]) -> None:
    def renamed(one: AnnData) -> AnnData:
        found = one.copy()
        found.layers["raw"] = found.layers.pop(Keys.COUNTS)
        found.X = np.log1p(found.layers["raw"].toarray())
        return found

    train = [renamed(one) for one in adatas]
    model = hs.tl.fuse(train, Contrastive(dim=16), gene_model=_encoder(adatas), layer="raw", train=QUICK)
    wanted = train[0].obsm[Keys.X_FUSED_GENES].copy()
    hs.tl.embed(train[0], model)
    np.testing.assert_array_equal(train[0].obsm[Keys.X_FUSED_GENES], wanted)
    other = adatas[0].copy()
    with pytest.raises(CountsError, match=r"layers\['raw'\].*layer="):
        hs.tl.embed(other, model)
    hs.tl.embed(other, model, layer=Keys.COUNTS)
    np.testing.assert_array_equal(other.obsm[Keys.X_FUSED_GENES], wanted)
    names = list(other.obs_names[:2])
    found = hs.tl.retrieve(other, names, model, modality="genes", k=2, layer=Keys.COUNTS)
    pd.testing.assert_frame_equal(found, hs.tl.retrieve(train[0], names, model, modality="genes", k=2))
    own = train[0].copy()
    own.layers[Keys.COUNTS] = own.layers["raw"][:, ::-1].copy()  # other counts, which were not trained on
    hs.tl.encode_genes(own, model)
    hs.tl.encode_genes(train[0], model)
    np.testing.assert_array_equal(own.obsm[Keys.X_GENES], train[0].obsm[Keys.X_GENES])


def test_a_spot_alone_has_no_section_to_be_compared_with(adatas: list[AnnData]) -> None:
    model = hs.tl.fuse(adatas, Contrastive(dim=16), gene_model=_encoder(adatas, "section"), train=QUICK)
    with pytest.warns(UserWarning, match=r"one spot alone of section 'toy_1'.*whole sections"):
        hs.tl.embed(adatas[0][:1].copy(), model)


def test_genes_are_embedded_without_a_scale(adatas: list[AnnData], fused: Model) -> None:
    adata = adatas[0].copy()
    hs.tl.embed(adata, fused)
    wanted = adata.obsm[Keys.X_FUSED_GENES].copy()
    del adata.uns[Keys.LIBRARIES]
    hs.tl.embed(adata, fused, modality="genes")
    np.testing.assert_array_equal(adata.obsm[Keys.X_FUSED_GENES], wanted)


@pytest.mark.parametrize("val_fraction", [0.0, 0.1])
def test_training_that_ran_away_is_said_to_have(adatas: list[AnnData], encoder: Model, val_fraction: float) -> None:
    wild = replace(QUICK, epochs=1, lr=1e20, val_fraction=val_fraction)
    with pytest.raises(TrainingError, match="Lower lr"):
        hs.tl.fuse(adatas, Contrastive(dim=16, trunk_rate=1.0), gene_model=encoder, train=wild)


def test_warnings_point_at_the_line_of_the_user(adatas: list[AnnData], encoder: Model) -> None:
    few = adatas[0][:, :70].copy()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", UserWarning)
        model = hs.tl.fuse(few, Contrastive(dim=16), gene_model=encoder, train=replace(QUICK, epochs=1))
        hs.tl.embed(few, model)
    found = [one.filename for one in seen if "of the 200 genes" in str(one.message)]
    assert found == [__file__] * 2, [str(one.message) for one in seen]
