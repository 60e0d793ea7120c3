"""Spots that are found by the other modality."""

from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import HistoscribeError, MissingError, OptionError
from histoscribe._keys import Keys, valid
from histoscribe.metrics import recall_at_k
from histoscribe.nn import Contrastive, Model, TrainConfig
from histoscribe.tl import retrieve
from histoscribe.tl._nearest import nearest

from ..digest import digest
from ..toys import cached_toy
from .conftest import section

COLUMNS = ["query", "query_section", "rank", "match", "section", "cosine", "partner"]
JOINT = {"image": Keys.X_FUSED_IMAGE, "genes": Keys.X_FUSED_GENES}


@pytest.fixture(scope="module")
def model() -> Model:
    return hs.tl.fuse(section(), Contrastive(), train=TrainConfig(epochs=40, accelerator="cpu"))


@pytest.fixture
def new() -> AnnData:
    """A section that the model has not seen."""
    return section(100, seed=5, name="S9")


def _loop(a: np.ndarray, b: np.ndarray, k: int) -> list[list[int]]:
    """Rows of b nearest to each row of a, the earlier first where the cosine is the same to six decimals."""
    found = []
    for x in a.astype(float):
        cosines = [round(float(x @ y / np.linalg.norm(x) / np.linalg.norm(y)), 6) for y in b.astype(float)]
        found.append(sorted(range(len(b)), key=lambda row, c=cosines: (-c[row], row))[:k])  # type: ignore[misc]
    return found


def _share_found(found: pd.DataFrame, k: int) -> float:
    """Share of the queries whose partner is among the first k."""
    return float(found[found["rank"] <= k].groupby("query")["partner"].any().mean())


@pytest.mark.parametrize(("n", "k"), [(40, 5), (700, 1), (700, 60), (9, 20)])
def test_nearest_is_an_explicit_loop(n: int, k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histoscribe.tl._nearest._VECTORS", 64)
    monkeypatch.setattr("histoscribe.tl._nearest._QUERIES", 7)
    vectors = np.random.default_rng(0).integers(-2, 3, (n, 3)).astype(np.float32)  # many ties
    vectors[:, 0] += 0.5
    queries = vectors[:20][::-1].copy()
    rows, cosine = nearest(queries, vectors, k)
    assert rows.tolist() == _loop(queries, vectors, k)
    norms = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(vectors, axis=1)[rows]
    np.testing.assert_allclose(cosine, (queries[:, None] * vectors[rows]).sum(axis=-1) / norms, atol=1e-6)


def test_opposite_and_empty_vectors_have_their_places() -> None:
    vectors = np.array([[-1, 0], [0, 0], [2, 0]], dtype=np.float32)
    rows, cosine = nearest(vectors[2:], vectors, 3)
    assert (rows.tolist(), cosine.tolist()) == ([[2, 1, 0]], [[1.0, 0.0, -1.0]])


@pytest.mark.parametrize("modality", ["image", "genes"])
@pytest.mark.parametrize("target", [None, "image", "genes"])
def test_matches_are_those_of_an_explicit_loop(new: AnnData, model: Model, modality: str, target: str | None) -> None:
    found = retrieve(new, new, model, modality=modality, target=target, k=4)
    hs.tl.embed(new, model)
    other = target or {"image": "genes", "genes": "image"}[modality]
    rows = _loop(new.obsm[JOINT[modality]], new.obsm[JOINT[other]], 4)
    assert list(found) == COLUMNS
    assert found["query"].tolist() == np.repeat(new.obs_names, 4).tolist()
    assert found["rank"].tolist() == [1, 2, 3, 4] * 100
    assert found["match"].tolist() == new.obs_names[np.ravel(rows)].tolist()
    assert set(found["section"]) == set(found["query_section"]) == {"S9"}
    assert (found["partner"] == (found["query"] == found["match"])).all()
    cosine = [new.obsm[JOINT[modality]][i] @ new.obsm[JOINT[other]][j] for i, own in enumerate(rows) for j in own]
    np.testing.assert_allclose(found["cosine"], cosine, atol=2e-6)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_share_of_partners_found_is_recall(new: AnnData, model: Model, k: int) -> None:
    hs.tl.embed(new, model)
    for modality, other in (("image", "genes"), ("genes", "image")):
        found = retrieve(new, new, model, modality=modality, k=k)
        assert _share_found(found, k) == recall_at_k(new.obsm[JOINT[modality]], new.obsm[JOINT[other]], k)


@pytest.mark.weekly
def test_planted_partners_are_found_and_shuffled_ones_by_chance() -> None:
    seen, unseen = cached_toy(n_slides=2, n_spots=196, n_genes=200)
    for one in (seen, unseen):
        hs.pp.tile(one)
        hs.tl.encode_image(one, "mean_rgb", cache=False)
    pca = hs.tl.fit_pca(seen, n_comps=20)
    hs.tl.encode_genes(seen, pca)
    hs.tl.encode_genes(unseen, pca)
    train = TrainConfig(epochs=20, accelerator="cpu")
    by_chance = 10 / 196
    shares = {}
    for name, rows in (("planted", np.arange(196)), ("shuffled", np.random.default_rng(0).permutation(196))):
        learned = seen.copy()
        learned.obsm[Keys.X_GENES] = learned.obsm[Keys.X_GENES][rows]
        model = hs.tl.fuse(learned, Contrastive(), train=train)
        shares[name] = _share_found(retrieve(unseen, unseen, model), 10)
    assert shares["planted"] > 4 * by_chance, shares
    assert shares["shuffled"] < 2.5 * by_chance, shares


def test_names_find_what_all_spots_find_in_the_order_asked(new: AnnData, model: Model) -> None:
    first = section(100, seed=6, name="S8")
    both = [first, new]
    every = retrieve(both, both, model, k=3)
    names = ["S9_40", "S8_99", "S9_2", "S8_0"]
    found = retrieve(both, names, model, k=3)
    wanted = pd.concat([every[every["query"] == name] for name in names], ignore_index=True)
    pd.testing.assert_frame_equal(found, wanted, atol=2e-6)
    pd.testing.assert_frame_equal(retrieve(both, "S8_99", model, k=3), found[3:6].reset_index(drop=True), atol=2e-6)
    pd.testing.assert_frame_equal(retrieve(both, pd.Index(names), model, k=3), found)


def test_list_and_one_anndata_of_many_sections_are_the_same(new: AnnData, model: Model) -> None:
    both = [section(100, seed=6, name="S8"), new]
    whole = ad.concat(both, uns_merge="unique")
    pd.testing.assert_frame_equal(retrieve(whole, whole, model), retrieve(both, both, model))


def test_another_slide_with_images_alone_is_a_query(new: AnnData, model: Model) -> None:
    slide = section(49, seed=7, name="slide")
    del slide.obsm[Keys.X_GENES]
    slide.obs_names = new.obs_names[:49]  # as barcodes are the same on every slide
    found = retrieve(new, slide, model, k=2)
    assert len(found) == 98
    assert not found["partner"].any()
    assert set(found["query_section"]) == {"slide"}
    assert set(found["section"]) == {"S9"}
    del new.obsm[Keys.X_IMAGE]  # what is searched needs its genes alone
    pd.testing.assert_frame_equal(retrieve(new, slide, model, k=2), found)
    with pytest.raises(MissingError, match=r"obsm\['X_genes'\].*hs\.tl\.encode_genes"):
        retrieve(new, slide, model, modality="genes")


def test_spots_without_the_modality_are_never_found(new: AnnData, model: Model) -> None:
    absent = np.arange(100) % 2 == 0
    new.obs[valid(Keys.X_GENES)] = ~absent
    new.obsm[Keys.X_GENES][5] = np.nan
    found = retrieve(new, new, model, k=100)
    assert (found.groupby("query").size() == 49).all()
    assert not set(found["match"]) & {*new.obs_names[absent], new.obs_names[5]}
    lacking = r"obsm\['X_genes'\]: found no result for 'S9_0', 'S9_2', 'S9_4' and 48 more; expected.*Leave them out"
    with pytest.raises(MissingError, match=lacking):
        retrieve(new, new, model, modality="genes")
    with pytest.raises(MissingError, match=r"no result for 'S9_5';"):
        retrieve(new, ["S9_7", "S9_5"], model, modality="genes")
    new.obs[valid(Keys.X_GENES)] = False
    with pytest.raises(MissingError, match=r"obsm\['X_genes'\]: found no result in any row.*target="):
        retrieve(new, "S9_5", model)


def test_vectors_are_the_models_and_nothing_is_written(new: AnnData, model: Model) -> None:
    wanted = retrieve(new, "S9_3", model)
    for key in JOINT.values():
        new.obsm[key] = np.random.default_rng(0).normal(size=(100, 128)).astype(np.float32)
    before = digest(new)
    pd.testing.assert_frame_equal(retrieve(new, "S9_3", model), wanted)
    assert digest(new) == before
    assert wanted["query"].size == 10


def test_same_spots_are_found_in_the_order_of_rows(new: AnnData, model: Model) -> None:
    for key in (Keys.X_IMAGE, Keys.X_GENES):
        new.obsm[key][50:] = new.obsm[key][:50]
    found = retrieve(new, new, model, k=2)
    first, second = (found[found["rank"] == rank]["match"].str[3:].astype(int).to_numpy() for rank in (1, 2))
    np.testing.assert_array_equal(second, first + 50)


def test_slots_of_other_names_are_read(new: AnnData, model: Model) -> None:
    wanted = retrieve(new, "S9_3", model)
    new.obsm["mine"], new.obsm["ours"] = new.obsm.pop(Keys.X_IMAGE), new.obsm.pop(Keys.X_GENES)
    found = retrieve(new, "S9_3", model, image_rep="mine", gene_rep="ours")
    pd.testing.assert_frame_equal(found, wanted)


@pytest.mark.parametrize(
    ("query", "options", "error", "says"),
    [
        ("S9_100", {}, MissingError, r"query: found 'S9_100'; expected names of adata, such as \['S9_0'"),
        ([], {}, OptionError, r"query: found \[\]"),
        ([3], {}, OptionError, r"query: found \[3\]; expected names of spots"),
        (None, {}, OptionError, "query: found None"),
        (["S9_1", "S9_1"], {}, OptionError, "query: found a name twice"),
        ("S9_1", {"modality": "both"}, OptionError, "modality: found 'both'"),
        ("S9_1", {"target": "pathways"}, OptionError, "target: found 'pathways'"),
        ("S9_1", {"k": 0}, OptionError, "k: found 0"),
        ("S9_1", {"gene_rep": "X_other"}, MissingError, "X_other"),
        ("S9_1", {"image_rep": "X_genes"}, OptionError, "20 columns; expected 24"),
        ("S9_1", {"library_key": "sample"}, MissingError, r"obs\['sample'\]"),
    ],
)
def test_bad_input_is_named(new: AnnData, model: Model, query: Any, options: Any, error: Any, says: str) -> None:
    with pytest.raises(error, match=says):
        retrieve(new, query, model, **options)


def test_names_that_stand_for_several_spots_are_refused(new: AnnData, model: Model) -> None:
    other = section(100, seed=6, name="S8")
    other.obs_names = new.obs_names
    with pytest.raises(OptionError, match=r"query: found 'S9_1' in several sections.*pass the section that holds it"):
        retrieve([new, other], "S9_1", model)
    found = retrieve([new, other], other, model, k=200)
    assert (found[found["partner"]]["section"] == "S8").all()
    assert found["partner"].sum() == 100
    other.obs[Keys.LIBRARY_ID] = "S9"
    with pytest.raises(OptionError, match=r"obs_names of adata: found duplicates in 'S9', such as 'S9_0'"):
        retrieve([new, other], "S9_1", model)
    with pytest.raises(OptionError, match="obs_names of query: found duplicates"):
        retrieve(section(), [new, other], model)


def test_what_is_no_fusion_model_or_of_another_encoder_is_refused(new: AnnData, model: Model) -> None:
    counts = AnnData(np.random.default_rng(0).poisson(2.0, (30, 12)).astype(np.float32))
    with pytest.raises(OptionError, match=r"model: found PCA.*hs\.tl\.fuse"):
        retrieve(new, "S9_1", hs.tl.fit_pca(counts, n_comps=2))
    with pytest.raises(HistoscribeError, match="query: found 0 observations"):
        retrieve(new, new[:0], model)
    model = Model(model.config, model.module, {**model.meta, "encoders": {"image": "a" * 64, "genes": None}})
    new.uns[Keys.RECORD] = {"obsm.X_image": {"hashes": {"encoder": "b" * 64}}}
    with pytest.raises(OptionError, match=r"obsm\['X_image'\]: found encoder bbb"):
        retrieve(new, "S9_1", model)
