import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import CountsError, GenesError, OptionError
from histoscribe._keys import Keys, valid


def _counts(n: int = 60, seed: int = 0) -> AnnData:
    rng = np.random.default_rng(seed)
    loads = np.random.default_rng(9).normal(size=(3, 50))
    rate = rng.gamma(5, 1, size=(n, 1)) * np.exp(rng.normal(size=(n, 3)) @ loads * 0.7)
    x = sp.csr_matrix(rng.poisson(rate).astype(np.float32))
    return AnnData(x, var=pd.DataFrame(index=[f"G{i}" for i in range(50)]))


@pytest.fixture
def genes() -> AnnData:
    return _counts()


def test_vectors_are_those_of_scanpy_but_for_signs(genes: AnnData) -> None:
    import scanpy as sc

    hs.tl.encode_genes(genes, hs.tl.fit_pca(genes, n_comps=5))
    other = genes.copy()
    sc.pp.normalize_total(other, target_sum=1e4)
    sc.pp.log1p(other)
    reference = sc.pp.pca(other.X, n_comps=5)
    sign = np.sign((reference * genes.obsm[Keys.X_GENES]).sum(axis=0))
    np.testing.assert_allclose(genes.obsm[Keys.X_GENES] * sign, reference, atol=2e-3)
    assert genes.obsm[Keys.X_GENES].dtype == np.float32


def test_order_and_extra_genes_make_no_difference(genes: AnnData) -> None:
    model = hs.tl.fit_pca(genes, n_comps=5)
    hs.tl.encode_genes(genes, model)
    wide = AnnData(sp.csr_matrix(np.hstack([genes.X.toarray(), np.full((60, 2), 7.0)]), dtype=np.float32))
    wide.var_names = [*genes.var_names, "extra", "more"]
    wide = wide[:, np.random.default_rng(0).permutation(52)].copy()
    hs.tl.encode_genes(wide, model)
    np.testing.assert_allclose(wide.obsm[Keys.X_GENES], genes.obsm[Keys.X_GENES], atol=1e-5)


def test_some_missing_genes_warn_and_many_are_an_error(genes: AnnData) -> None:
    model = hs.tl.fit_pca(genes, n_comps=5)
    hs.tl.encode_genes(genes, model)
    some, few = genes[:, :45].copy(), genes[:, :30].copy()
    with pytest.warns(UserWarning, match=r"45 of the model's 50 genes; 5 are missing, such as \['G45', 'G46', 'G47'\]"):
        hs.tl.encode_genes(some, model)
    corr = np.corrcoef(some.obsm[Keys.X_GENES].ravel(), genes.obsm[Keys.X_GENES].ravel())[0, 1]
    assert corr > 0.8
    with pytest.raises(GenesError, match=r"30 of the model's 50 genes.*G30.*at least 80%"):
        hs.tl.encode_genes(few, model)


def test_empty_spot_stays_as_a_zero_row(genes: AnnData) -> None:
    model = hs.tl.fit_pca(genes, n_comps=5)
    holed = genes.copy()
    dense = holed.X.toarray()
    dense[4] = 0
    holed.X = sp.csr_matrix(dense)
    hs.tl.encode_genes(holed, model)
    assert np.flatnonzero(~holed.obs[valid(Keys.X_GENES)].to_numpy()).tolist() == [4]
    assert (holed.obsm[Keys.X_GENES][4] == 0).all()
    assert hs.tl.fit_pca(holed, n_comps=5).meta["n_spots"] == 59


def test_fitting_on_several_sections_takes_shared_genes_in_the_order_of_the_first(genes: AnnData) -> None:
    other = _counts(40, seed=1)[:, ::-1][:, 5:].copy()
    model = hs.tl.fit_pca([genes, other], n_comps=5)
    assert model.meta["genes"] == [f"G{i}" for i in range(45)]
    assert model.meta["n_spots"] == 100
    copies = hs.tl.encode_genes([genes, other], model, copy=True)
    assert isinstance(copies, list)
    assert [c.obsm[Keys.X_GENES].shape for c in copies] == [(60, 5), (40, 5)]
    assert Keys.X_GENES not in genes.obsm


def test_model_survives_the_disk(genes: AnnData, tmp_path: Path) -> None:
    model = hs.tl.fit_pca(genes, n_comps=5)
    model.save(tmp_path / "pca")
    hs.tl.encode_genes(genes, model)
    hs.tl.encode_genes(genes, hs.nn.load(tmp_path / "pca"), key_added="again")
    np.testing.assert_array_equal(genes.obsm["again"], genes.obsm[Keys.X_GENES])
    records = genes.uns[Keys.RECORD]
    assert records["obsm.again"]["hashes"] == records["obsm.X_genes"]["hashes"] == {"encoder": model.sha256}


@pytest.mark.parametrize("kind", [sp.csc_matrix, np.asarray, sp.csr_array])
def test_container_makes_no_difference(genes: AnnData, kind: type) -> None:
    hs.tl.encode_genes(genes, hs.tl.fit_pca(genes, n_comps=5))
    other = AnnData(kind(genes.X.toarray()), var=genes.var)
    hs.tl.encode_genes(other, hs.tl.fit_pca(other, n_comps=5))
    np.testing.assert_allclose(other.obsm[Keys.X_GENES], genes.obsm[Keys.X_GENES], atol=1e-5)


def test_wrong_inputs_change_nothing(genes: AnnData) -> None:
    model = hs.tl.fit_pca(genes, n_comps=5)
    logged = genes.copy()
    logged.X = logged.X.log1p()
    before = logged.copy()
    with pytest.raises(CountsError, match="log-normalised"):
        hs.tl.encode_genes(logged, model)
    assert (list(logged.obsm), list(logged.uns)) == (list(before.obsm), list(before.uns))
    with pytest.raises(OptionError, match="model: found 'pca'"):
        hs.tl.encode_genes(genes, "pca")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="n_comps=49"):
        hs.tl.fit_pca(genes)
    stranger = genes.copy()
    stranger.var_names = [f"ENSG{i}" for i in range(50)]
    with pytest.raises(GenesError, match="no gene in all sections"):
        hs.tl.fit_pca([genes, stranger], n_comps=5)


def test_no_dense_matrix_of_genes_by_spots_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    x = sp.random(3000, 2000, density=0.01, format="csr", random_state=0, dtype=np.float32)
    x.data = np.ceil(x.data * 5)
    big = AnnData(x)

    def refuse(*_: object, **__: object) -> None:
        raise MemoryError

    for kind in (sp.csr_matrix, sp.csr_array, sp.csc_matrix):
        monkeypatch.setattr(kind, "toarray", refuse)
        monkeypatch.setattr(kind, "todense", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        hs.tl.encode_genes(big, hs.tl.fit_pca(big, n_comps=4))
    assert big.obsm[Keys.X_GENES].shape == (3000, 4)
