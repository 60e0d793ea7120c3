import hashlib
import logging
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import FileError, GenesError, OptionError
from histoscribe.tl import _encode_sections, _lazy_sections

N, GENES = 90, 60
CONFIG = hs.nn.GeneEncoder(dim=16, depth=1, heads=2, hidden=16, n_tokens=30)


def _section(seed: int = 0) -> AnnData:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.dirichlet(np.ones(GENES)) * 100, (N, GENES)).astype(np.float32)
    counts[7] = 0
    one = AnnData(sp.csr_matrix(counts), layers={"counts": sp.csr_matrix(counts)})
    one.var_names = [f"G{k}" for k in range(GENES)]
    one.obsm["spatial"] = rng.uniform(0, 3000, (N, 2))
    one.obs["kind"] = "a"
    return one


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lazy_sections, "_VALUES", 1000)


@pytest.fixture(params=["tokens", "components"])
def model(request: pytest.FixtureRequest) -> hs.nn.Model:
    if request.param == "components":
        return hs.tl.fit_pca(_section(), n_comps=5)
    return _token_model("section")


def _token_model(rank: str) -> hs.nn.Model:
    vocabulary = hs.pp.fit_vocabulary(_section())
    meta = {"sizes": {"tokens": vocabulary.n_tokens}, "vocabulary": vocabulary.to_json(), "rank": rank}
    model = hs.nn.Model.new(CONFIG, meta)
    model.module.eval()
    return model


def _hashes(path: Path) -> dict[str, str]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {one.name: hashlib.sha256(one.read_bytes()).hexdigest() for one in files if one.is_file()}


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_a_file_gets_what_memory_gets(model: hs.nn.Model, tmp_path: Path, name: str) -> None:
    adata, path = _section(), tmp_path / name
    hs.io.write(adata, path)
    hs.tl.encode_genes(adata, model)
    for _ in range(2):  # the second time in place of the first
        assert hs.tl.encode_genes(path, model) is None
        found = hs.io.read(path)
        np.testing.assert_allclose(found.obsm["X_genes"], adata.obsm["X_genes"], atol=1e-6)
        assert found.obsm["X_genes"].dtype == np.float32
        assert found.obs["X_genes_valid"].tolist() == [k != 7 for k in range(N)]
        assert list(found.obs) == ["kind", "X_genes_valid"]
        record, wanted = (one.uns["histoscribe"]["obsm.X_genes"] for one in (found, adata))
        assert record["hashes"] == wanted["hashes"]
        assert {k: str(v) for k, v in record["params"].items() if k != "model"} == {
            k: str(v) for k, v in wanted["params"].items() if k != "model"
        }
        assert (found.layers["counts"] != adata.layers["counts"]).nnz == 0
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_a_file_that_was_written_by_hand_stays_readable(tmp_path: Path) -> None:
    adata, path, model = _section(), tmp_path / "a.h5ad", _token_model("mean")
    del adata.obsm["spatial"]
    adata.obsm["X_other"] = np.ones((N, 2))
    adata.write_h5ad(path)
    hs.tl.encode_genes(str(path), model, key_added="X_mine", layer="counts")
    found = ad.read_h5ad(path)
    assert found.obsm["X_mine"].shape == (N, 16)
    assert "X_mine_valid" in found.obs
    assert "histoscribe-manifest" not in h5py.File(path).attrs


def test_hashes_are_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    hs.io.write(_section(), path)
    hs.tl.encode_genes(path, _token_model("mean"))
    held = bytearray(path.read_bytes())
    vectors = hs.io.read(path).obsm["X_genes"].tobytes()
    held[held.find(vectors) + 40] ^= 1
    path.write_bytes(held)
    with pytest.raises(FileError, match="obsm/X_genes"):
        hs.io.read(path)
    held[held.find(vectors[:40]) + 40] ^= 1
    path.write_bytes(held)
    with h5py.File(path, "r+") as file:
        file["obs/X_genes_valid"][0] = False
    with pytest.raises(FileError, match="obs/X_genes_valid"):
        hs.io.read(path)


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_what_fails_leaves_the_file_as_it_was(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    hs.io.write(_section(), path)
    before = _hashes(path)

    def stopped(*_: Any) -> Any:
        def blocks() -> Any:
            yield np.zeros((10, 16), np.float32), np.ones(10, bool)
            raise KeyboardInterrupt

        return {}, blocks()

    monkeypatch.setattr(_encode_sections, "token_vectors", stopped)
    with pytest.raises(KeyboardInterrupt):
        hs.tl.encode_genes(path, _token_model("mean"))
    assert _hashes(path) == before
    assert [one.name for one in tmp_path.iterdir()] == [name]


def test_coverage_is_checked_before_anything_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    adata, path, model = _section(), tmp_path / "a.h5ad", _token_model("mean")
    adata.var_names = [f"G{k}" if k < 50 else f"H{k}" for k in range(GENES)]
    hs.io.write(adata, path)
    share = float(adata.X[:, :50].sum() / adata.X.sum())
    with caplog.at_level(logging.INFO, "histoscribe"):
        hs.tl.encode_genes([path, adata], model)
    assert caplog.text.count(f"50 of 60 genes in the vocabulary, {share:.0%} of the counts") == 2
    for one in (adata, hs.io.read(path)):
        assert one.uns["histoscribe"]["obsm.X_genes"]["params"]["coverage"] == pytest.approx(share)
    adata.var_names = [f"H{k}" for k in range(GENES)]
    hs.io.write(adata, path)
    monkeypatch.setattr(_encode_sections.Reading, "write", None)
    with pytest.raises(GenesError, match="0 of 60 genes"):
        hs.tl.encode_genes(path, model)


def test_a_section_may_come_in_blocks_but_not_be_ranked_by_them() -> None:
    from histoscribe.pp._tokens import TokenOptions, section_tokens
    from histoscribe.tl._encode_tokens import encode

    adata, model = _section(), _token_model("section")
    hs.tl.encode_genes(adata, model)
    tokens, _ = section_tokens(adata, hs.pp.Vocabulary.from_json(model.meta["vocabulary"]), TokenOptions(30, "section"))
    import torch

    whole = encode(tokens, model.module, torch.device("cpu"))
    there = adata.obs["X_genes_valid"].to_numpy()
    whole[there] -= whole[there].mean(axis=0)
    np.testing.assert_allclose(adata.obsm["X_genes"], whole, atol=1e-5)


def test_genes_that_the_model_learned_from_and_the_section_lacks_are_said(caplog: pytest.LogCaptureFixture) -> None:
    model, adata = _token_model("mean"), _section()
    vocabulary = hs.pp.Vocabulary.from_json(model.meta["vocabulary"])
    weights = vocabulary.shares if vocabulary.shares is not None else vocabulary.means * vocabulary.n_nonzero
    few = np.argsort(-weights)[: GENES // 3]
    share = weights[few].sum() / weights.sum()
    assert share < 0.8
    with pytest.warns(
        UserWarning, match=f"Only 20 of the 60 genes of the model are measured, with {share:.0%}"
    ) as seen:
        hs.tl.encode_genes(adata[:, np.sort(few)].copy(), model)
    assert seen[0].filename == __file__
    with caplog.at_level(logging.INFO, "histoscribe"):
        hs.tl.encode_genes(adata, model)
    assert "60 of the 60 genes of the model are measured, with 100%" in caplog.text


def test_sections_put_together_without_their_names_are_noticed() -> None:
    adata, model = _section(), _token_model("section")
    adata.obs = adata.obs.drop(columns="library_id", errors="ignore")
    twice = AnnData(adata.X, obs=adata.obs, var=adata.var, obsm={"spatial": adata.obsm["spatial"]})
    names = list(twice.obs_names)
    names[1] = names[0]
    twice.obs_names = names
    with pytest.warns(UserWarning, match=r"is this several sections\? Without obs\['library_id'\] it counts as one"):
        hs.tl.encode_genes(twice, model)


@pytest.mark.parametrize("name", ["table.csv", "cut.h5ad"])
def test_what_is_no_file_of_an_anndata_is_named_in_our_words(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("gene,count\nA,1\n")
    for call in (lambda p: hs.tl.encode_genes(p, _token_model("mean")), hs.io.read):
        with pytest.raises(FileError, match=rf"{name}: found no HDF5 file; expected the .h5ad or .zarr of an AnnData"):
            call(tmp_path / name)


def test_copies_of_files_are_refused(tmp_path: Path) -> None:
    hs.io.write(_section(), tmp_path / "a.h5ad")
    with pytest.raises(OptionError, match="copy"):
        hs.tl.encode_genes(tmp_path / "a.h5ad", _token_model("mean"), copy=True)
    with pytest.raises(FileError, match="nothing"):
        hs.tl.encode_genes(tmp_path / "b.h5ad", _token_model("mean"))
    copy = hs.tl.encode_genes(_section(), _token_model("mean"), copy=True)
    assert isinstance(copy, AnnData)
    many = hs.tl.encode_genes([_section()], _token_model("mean"), copy=True)
    assert isinstance(many, list)
    assert "X_genes" in many[0].obsm
