"""Tokens against an explicit loop, and what happens at the edges."""

import json
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import CountsError, GenesError, OptionError
from histoscribe._vocabulary import Vocabulary

from ..toys import cached_toy


def _loop(adata: AnnData, vocabulary: Vocabulary, n_tokens: int) -> np.ndarray:
    """Write the definition down for one spot at a time."""
    counts = np.asarray(adata.layers["counts"].todense(), dtype=float)
    rows = []
    for spot in counts:
        keyed = []
        for gene, count in zip(adata.var_names, spot, strict=True):
            if count > 0 and gene in vocabulary.genes:
                k = vocabulary.genes.index(gene)
                relative = 1e4 * count / spot.sum() / vocabulary.means[k]
                keyed.append((-round(relative, 9), -count, k))
        tokens = [30 + k for _, _, k in sorted(keyed)][:n_tokens]
        rows.append(tokens + [0] * (n_tokens - len(tokens)))
    return np.array(rows)


def _means_loop(adata: AnnData) -> np.ndarray:
    counts = np.asarray(adata.layers["counts"].todense(), dtype=float)
    scaled = 1e4 * counts / counts.sum(axis=1, keepdims=True)
    return np.array([scaled[scaled[:, g] > 0, g].mean() for g in range(adata.n_vars)])


def _section() -> AnnData:
    return cached_toy(n_spots=40, n_genes=200, plant=hs.datasets.Plant(n_null=5))


def test_means_are_those_of_the_non_zero_entries() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    many = vocabulary.n_nonzero >= 20
    np.testing.assert_allclose(vocabulary.means[many], _means_loop(adata)[many], rtol=1e-12)


def test_rare_genes_take_the_median_mean() -> None:
    adata = _section()
    counts = adata.layers["counts"].tolil()
    counts[:, 0] = 0
    counts[3, 0] = 1
    adata.layers["counts"] = counts.tocsr()
    vocabulary = hs.pp.fit_vocabulary(adata)
    assert vocabulary.n_nonzero[0] == 1
    assert vocabulary.means[0] == np.median(vocabulary.means[vocabulary.n_nonzero >= 20])


def test_means_of_two_sections_are_those_of_their_spots_together() -> None:
    import anndata

    slides = cached_toy(n_slides=2, n_spots=40, n_genes=200, plant=hs.datasets.Plant(n_null=5))
    apart = hs.pp.fit_vocabulary([slides[0], slides[1][:, ::-1].copy()])
    together = hs.pp.fit_vocabulary(anndata.concat(slides))
    assert apart.genes == together.genes
    np.testing.assert_allclose(apart.means, together.means, rtol=1e-12)


@pytest.mark.parametrize("n_tokens", [1, 17, 300])
def test_tokens_equal_the_loop(n_tokens: int) -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    hs.pp.tokenize_genes(adata, vocabulary, n_tokens=n_tokens)
    tokens = adata.obsm["gene_tokens"]
    assert tokens.dtype == np.uint16
    np.testing.assert_array_equal(tokens, _loop(adata, vocabulary, n_tokens))


def test_ties_go_by_count_then_by_vocabulary_order() -> None:
    vocabulary = Vocabulary(("a", "b", "c", "d"), np.array([1.0, 2.0, 1.0, 4.0]), np.full(4, 100))
    adata = AnnData(sp.csr_matrix([[2, 4, 2, 8]]), layers={"counts": sp.csr_matrix([[2, 4, 2, 8]])})
    adata.var_names = ["a", "b", "c", "d"]
    hs.pp.tokenize_genes(adata, vocabulary, n_tokens=4)
    assert vocabulary.decode(adata.obsm["gene_tokens"][0]) == ["d", "b", "a", "c"]


@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, sp.csr_array, np.asarray])
@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float32, np.float64])
def test_container_and_type_of_the_counts_do_not_matter(form: type, dtype: type) -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    hs.pp.tokenize_genes(adata, vocabulary, n_tokens=50)
    other = adata.copy()
    other.layers["counts"] = form(adata.layers["counts"].toarray().astype(dtype))
    hs.pp.tokenize_genes(other, vocabulary, n_tokens=50)
    np.testing.assert_array_equal(other.obsm["gene_tokens"], adata.obsm["gene_tokens"])


def test_order_of_genes_and_spots_does_not_matter() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    rng = np.random.default_rng(0)
    rows, columns = rng.permutation(adata.n_obs), rng.permutation(adata.n_vars)
    shuffled = adata[rows, columns].copy()
    for one in (adata, shuffled):
        hs.pp.tokenize_genes(one, vocabulary, n_tokens=60)
    np.testing.assert_array_equal(shuffled.obsm["gene_tokens"], adata.obsm["gene_tokens"][rows])


def test_empty_spot_is_padding_and_flagged() -> None:
    adata = _section()
    counts = adata.layers["counts"].tolil()
    counts[5] = 0
    adata.layers["counts"] = counts.tocsr()
    hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=20)
    assert (adata.obsm["gene_tokens"][5] == 0).all()
    np.testing.assert_array_equal(np.flatnonzero(~adata.obs["gene_tokens_valid"]), [5])


def test_genes_outside_the_vocabulary_warn_then_fail() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata[:, :100].copy())
    with pytest.warns(UserWarning, match="of the counts"):
        hs.pp.tokenize_genes(adata, vocabulary)
    with pytest.raises(GenesError, match="at least 20%"):
        hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata[:, :8].copy()))


def test_mouse_case_and_ensembl_ids_are_recognised() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    mouse = adata.copy()
    mouse.var_names = mouse.var_names.str.capitalize()
    with pytest.raises(GenesError, match="same species"):
        hs.pp.tokenize_genes(mouse, vocabulary)
    ensembl = adata.copy()
    ensembl.var["symbol"] = ensembl.var_names.to_numpy(dtype=object)
    ensembl.var_names = [f"ENSG{k:011d}" for k in range(ensembl.n_vars)]
    hs.pp.tokenize_genes(ensembl, vocabulary)
    hs.pp.tokenize_genes(adata, vocabulary)
    np.testing.assert_array_equal(ensembl.obsm["gene_tokens"], adata.obsm["gene_tokens"])
    assert ensembl.uns["histoscribe"]["obsm.gene_tokens"]["params"]["gene_names"] == "var['symbol']"
    del ensembl.var["symbol"]
    with pytest.raises(GenesError, match="symbols are needed"):
        hs.pp.tokenize_genes(ensembl, vocabulary)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda x: np.log1p(x), "log-normalised"),
        (lambda x: -x, "negative"),
        (lambda x: x * np.nan, "NaN"),
        (lambda x: x.astype(np.float16), "float16"),
    ],
)
def test_what_is_no_counts_is_refused(change: object, found: str) -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    adata.layers["counts"] = change(adata.layers["counts"].toarray().astype(np.float64))  # type: ignore[operator]
    with pytest.raises(CountsError, match=found):
        hs.pp.tokenize_genes(adata, vocabulary)
    assert "gene_tokens" not in adata.obsm


def test_x_is_taken_only_if_it_holds_counts() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    hs.pp.tokenize_genes(adata, vocabulary)
    bare = adata.copy()
    del bare.layers["counts"]
    hs.pp.tokenize_genes(bare, vocabulary)
    np.testing.assert_array_equal(bare.obsm["gene_tokens"], adata.obsm["gene_tokens"])
    bare.X = np.log1p(bare.X)
    with pytest.raises(CountsError, match="layer="):
        hs.pp.tokenize_genes(bare, vocabulary)


def test_fractional_counts_warn_and_are_used() -> None:
    adata = _section()
    adata.layers["ambient"] = adata.layers["counts"] * 0.9
    with pytest.warns(UserWarning, match="fractions"):
        hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), layer="ambient")


def test_no_tokens_asked_for() -> None:
    adata = _section()
    with pytest.raises(OptionError, match="n_tokens"):
        hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), n_tokens=0)


def test_duplicated_genes_are_refused_by_name() -> None:
    adata = _section()
    adata.var_names = ["TOY0000", "TOY0000", *adata.var_names[2:]]
    with pytest.raises(GenesError, match=r"TOY0000.*var_names_make_unique"):
        hs.pp.fit_vocabulary(adata)


def test_vocabulary_survives_json() -> None:
    vocabulary = hs.pp.fit_vocabulary(_section())
    back = Vocabulary.from_json(vocabulary.to_json())
    assert back.sha256 == vocabulary.sha256
    assert back.genes == vocabulary.genes
    assert back.shares is not None
    assert vocabulary.shares is not None
    np.testing.assert_array_equal(back.means, vocabulary.means)
    np.testing.assert_array_equal(back.shares, vocabulary.shares)


def test_a_vocabulary_without_shares_ranks_by_mean_alone() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    columns = json.loads(vocabulary.to_json())
    del columns["shares"]
    old = Vocabulary.from_json(json.dumps(columns))
    assert json.loads(old.to_json()) == columns
    for one, known in ((adata, old), (adata.copy(), vocabulary)):
        hs.pp.tokenize_genes(one, known, n_tokens=50)
    with pytest.raises(GenesError, match="fit_vocabulary"):
        hs.pp.tokenize_genes(adata, old, rank="residual")
    with pytest.raises(GenesError, match="means"):
        Vocabulary.from_json('{"genes": ["a"], "n_nonzero": [1]}')
    with pytest.raises(GenesError, match="shares"):
        Vocabulary(("a",), np.ones(1), np.ones(1, dtype=int), np.zeros(1))


def test_a_gene_twice_in_a_row_counts_as_its_sum_and_the_matrix_stays_as_it_is() -> None:
    adata = _section()
    vocabulary = hs.pp.fit_vocabulary(adata)
    hs.pp.tokenize_genes(adata, vocabulary, n_tokens=60)
    split = adata.copy()
    whole = sp.csr_matrix(adata.layers["counts"])
    parts = (np.concatenate([whole.data - 1, np.ones_like(whole.data)]), np.tile(whole.indices, 2))
    order = np.argsort(np.tile(np.repeat(np.arange(whole.shape[0]), np.diff(whole.indptr)), 2), kind="stable")
    split.layers["counts"] = sp.csr_matrix((parts[0][order], parts[1][order], 2 * whole.indptr), shape=whole.shape)
    hs.pp.tokenize_genes(split, vocabulary, n_tokens=60)
    np.testing.assert_array_equal(split.obsm["gene_tokens"], adata.obsm["gene_tokens"])
    assert split.layers["counts"].nnz == 2 * whole.nnz


def test_ranks_that_do_not_exist_are_refused() -> None:
    adata = _section()
    with pytest.raises(OptionError, match="residual"):
        hs.pp.tokenize_genes(adata, hs.pp.fit_vocabulary(adata), rank="median")  # type: ignore[arg-type]


@pytest.mark.parametrize("together", [False, True])
def test_ranks_of_a_section_are_residuals_by_a_vocabulary_of_its_own(together: bool) -> None:
    import anndata

    slides = cached_toy(n_slides=2, n_spots=40, n_genes=200)
    slides[1].layers["counts"][:, :50] *= 7  # one section measures some genes better
    vocabulary = hs.pp.fit_vocabulary(slides[0])
    given = anndata.concat(slides, uns_merge="unique")[::-1].copy() if together else slides
    hs.pp.tokenize_genes(given, vocabulary, n_tokens=60, rank="section")
    for slide in slides:
        found = (given[slide.obs_names] if together else slide).obsm["gene_tokens"].copy()
        hs.pp.tokenize_genes(slide, hs.pp.fit_vocabulary(slide), n_tokens=60, rank="residual")
        np.testing.assert_array_equal(found, slide.obsm["gene_tokens"])


def _share_first(adata: AnnData, vocabulary: Vocabulary, rank: Any) -> float:
    """Share of the spots with gene 3 among the first five."""
    hs.pp.tokenize_genes(adata, vocabulary, n_tokens=5, rank=rank)
    return float((adata.obsm["gene_tokens"] == 33).mean())


def test_ranks_of_a_section_do_not_see_what_scales_a_gene_throughout() -> None:
    counts = np.random.default_rng(0).poisson(np.linspace(0.5, 4, 30), (50, 30)).astype(float)
    counts[:, -1] = 400.0  # so that the others' scale hardly moves a spot's total
    plain = AnnData(sp.csr_matrix(counts), layers={"counts": sp.csr_matrix(counts)})
    other = plain.copy()
    other.layers["counts"] = sp.csr_matrix(counts * np.where(np.arange(30) == 3, 3, 1))
    vocabulary = hs.pp.fit_vocabulary(plain)
    assert _share_first(other, vocabulary, "residual") > 2 * _share_first(plain, vocabulary, "residual")
    assert _share_first(other, vocabulary, "section") < 1.5 * _share_first(plain, vocabulary, "section")
