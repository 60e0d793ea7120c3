import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import CountsError, FileError, GenesError, OptionError
from histoscribe._sections import positions_um
from histoscribe._vocabulary import PAD, Vocabulary
from histoscribe.pp._tokens import TokenOptions, section_tokens
from histoscribe.tl import _lazy_sections, _token_parts
from histoscribe.tl._lazy_sections import each_section, open_source, summed
from histoscribe.tl._pretrain_genes import _vocabulary
from histoscribe.tl._token_parts import corpus_of, tokens_of

N, GENES, LENGTH = 120, 180, 40


@pytest.fixture
def adata() -> AnnData:
    """Two sections in one, in no order of places, and a spot without genes."""
    rng = np.random.default_rng(0)
    share = rng.dirichlet(np.ones(GENES) / 2, 2)
    counts = rng.poisson(share[np.arange(N) % 2] * 150).astype(np.float32)
    counts[5] = 0
    one = AnnData(layers={"counts": sp.csr_matrix(counts)}, shape=counts.shape)
    one.var_names = [f"G{k}" for k in range(GENES)]
    one.obs["library_id"] = np.array(["S2", "S1"])[np.arange(N) % 2]
    one.obsm["spatial"] = rng.uniform(0, 3000, (N, 2))
    one.uns["spatial"] = {name: {"metadata": {"mpp": 0.5}} for name in ("S1", "S2")}
    return one


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_lazy_sections, "_VALUES", 2000)
    monkeypatch.setattr(_token_parts, "_TOKENS_AT_ONCE", 500)


def _whole(adata: AnnData, path: Path) -> None:
    hs.io.write(adata, path)


def _in_x(adata: AnnData, path: Path) -> None:
    moved = adata.copy()
    moved.X = moved.layers.pop("counts")
    moved.write_h5ad(path)


def _dense(adata: AnnData, path: Path) -> None:
    moved = adata.copy()
    moved.layers["counts"] = moved.layers["counts"].toarray()
    hs.io.write(moved, path)


def _by_columns(adata: AnnData, path: Path) -> None:
    moved = adata.copy()
    moved.layers["counts"] = sp.csc_matrix(moved.layers["counts"])
    hs.io.write(moved, path)


FORMS: dict[str, tuple[str, Callable[[AnnData, Path], None]]] = {
    "h5ad": ("a.h5ad", _whole),
    "zarr": ("a.zarr", _whole),
    "X, of anndata": ("a.h5ad", _in_x),
    "dense": ("a.h5ad", _dense),
    "by columns": ("a.h5ad", _by_columns),
}


@pytest.mark.parametrize("rank", ["mean", "residual", "section"])
def test_tokens_are_those_of_the_whole_section(adata: AnnData, rank: Any) -> None:
    vocabulary, options = hs.pp.fit_vocabulary(adata), TokenOptions(LENGTH, rank)
    corpus, _ = corpus_of([adata], vocabulary, options)
    whole, _ = section_tokens(adata, vocabulary, options)
    xy = positions_um(adata)
    for row in range(N):
        (at,) = np.flatnonzero((corpus.xy(0, N) == xy[row]).all(axis=1) & _of_section(adata, row))
        tokens = corpus.tokens(np.array([at]))[0]
        assert tokens[tokens != PAD].tolist() == whole[row][whole[row] != PAD].tolist()
    assert [stop for _, stop, _ in corpus.sections] == [60, 120]


def _of_section(adata: AnnData, row: int) -> np.ndarray:
    first = sorted(adata.obs["library_id"].unique())[0]
    return (np.arange(N) < 60) == (adata.obs["library_id"].iloc[row] == first)


@pytest.mark.parametrize(("form", "rank"), [*((form, "mean") for form in FORMS), ("h5ad", "section")])
def test_a_file_gives_what_memory_gives(
    adata: AnnData, tmp_path: Path, form: str, rank: Any, caplog: pytest.LogCaptureFixture
) -> None:
    name, write = FORMS[form]
    write(adata, tmp_path / name)
    (path,) = each_section(str(tmp_path / name))
    assert isinstance(path, Path)
    vocabulary = hs.pp.fit_vocabulary(adata)
    with caplog.at_level(logging.WARNING, "histoscribe"):
        found = _vocabulary([path], None, "library_id")
    assert ("read whole" in caplog.text) == (form == "by columns")
    assert found.to_json() == vocabulary.to_json()
    options = TokenOptions(LENGTH, rank)
    kept, held = tokens_of(path, vocabulary, options), tokens_of(adata, vocabulary, options)
    assert kept.part.sha256 == held.part.sha256
    assert (kept.part.stops, kept.part.pitches, kept.patients) == (held.part.stops, held.part.pitches, held.patients)


def test_sums_of_blocks_are_those_of_the_whole(adata: AnnData) -> None:
    with open_source(adata, None, "library_id") as source:
        assert len(list(source.blocks())) == 5
        sums, _ = summed(source)
    np.testing.assert_array_equal(sums.counts, np.asarray(adata.layers["counts"].sum(axis=0)).ravel())


def _refuse(*_: Any) -> None:
    raise AssertionError("read again")


@pytest.fixture
def kept(adata: AnnData, tmp_path: Path) -> tuple[Path, Vocabulary, str]:
    """A file, a vocabulary, and the hash of the tokens that the cache has."""
    path, vocabulary = tmp_path / "a.h5ad", hs.pp.fit_vocabulary(adata)
    hs.io.write(adata, path)
    return path, vocabulary, tokens_of(path, vocabulary, TokenOptions(LENGTH)).part.sha256


def test_tokens_are_found_again_also_where_the_file_was_moved(
    kept: tuple[Path, Vocabulary, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, vocabulary, sha256 = kept
    monkeypatch.setattr(_token_parts, "open_source", _refuse)
    assert tokens_of(path, vocabulary, TokenOptions(LENGTH)).part.sha256 == sha256
    assert tokens_of(path.rename(tmp_path / "b.h5ad"), vocabulary, TokenOptions(LENGTH)).part.sha256 == sha256
    for other in (TokenOptions(LENGTH + 1), TokenOptions(LENGTH, "residual"), TokenOptions(LENGTH, layer="counts")):
        with pytest.raises(AssertionError, match="read again"):
            tokens_of(tmp_path / "b.h5ad", vocabulary, other)


def _cut_off(folder: Path) -> None:
    (folder / "tokens.bin").write_bytes((folder / "tokens.bin").read_bytes()[:-100])


def _flip(folder: Path) -> None:
    held = bytearray((folder / "xy.bin").read_bytes())
    held[100] ^= 1
    (folder / "xy.bin").write_bytes(held)


def _unfinished(folder: Path) -> None:
    (folder / "index.json").write_text('{"sha256": ')


def _gone(folder: Path) -> None:
    (folder / "starts.bin").unlink()


def test_broken_tokens_are_made_anew(kept: tuple[Path, Vocabulary, str]) -> None:
    path, vocabulary, sha256 = kept
    (folder,) = (hs.settings.cache_dir / "tokens").iterdir()
    for harm in (_cut_off, _flip, _unfinished, _gone):
        harm(folder)
        with pytest.raises(_token_parts._BROKEN):
            _token_parts._opened(folder)
        made = tokens_of(path, vocabulary, TokenOptions(LENGTH))
        assert made.part.sha256 == sha256
    assert {one.name for one in folder.iterdir()} == {"tokens.bin", "starts.bin", "xy.bin", "index.json"}
    assert len(list(folder.parent.iterdir())) == 1


@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_a_changed_file_has_other_tokens(adata: AnnData, tmp_path: Path, name: str) -> None:
    path, vocabulary = tmp_path / name, hs.pp.fit_vocabulary(adata)
    hs.io.write(adata, path)
    first = tokens_of(path, vocabulary, TokenOptions(LENGTH)).part.sha256
    adata.layers["counts"] = adata.layers["counts"][::-1]
    hs.io.write(adata, path)
    assert tokens_of(path, vocabulary, TokenOptions(LENGTH)).part.sha256 != first


def test_counts_of_files_are_judged_as_those_in_memory(adata: AnnData, tmp_path: Path) -> None:
    # Whole numbers in the first blocks, fractions in the last.
    counts = adata.layers["counts"].toarray().astype(np.float32)
    counts[-3:] *= 0.9
    counts[-1, 0] = 60
    vocabulary = hs.pp.fit_vocabulary(adata)
    for place, error in (("layer", None), ("X", "nobody calls counts")):
        other = adata.copy()
        held = sp.csr_matrix(counts)
        del other.layers["counts"]
        other.X = held if place == "X" else None
        if place == "layer":
            other.layers["counts"] = held
        hs.io.write(other, tmp_path / "b.h5ad")
        for one in (other, tmp_path / "b.h5ad"):
            if error is None:
                with pytest.warns(UserWarning, match="fractions"):
                    tokens_of(one, vocabulary, TokenOptions(LENGTH))
            else:
                with pytest.raises(CountsError, match=error):
                    tokens_of(one, vocabulary, TokenOptions(LENGTH))
    assert len(list((hs.settings.cache_dir / "tokens").iterdir())) == 1


def test_genes_of_another_kind_leave_nothing_in_the_cache(adata: AnnData, tmp_path: Path) -> None:
    hs.io.write(adata, tmp_path / "a.h5ad")
    other = hs.pp.Vocabulary(("A", "B"), np.ones(2), np.ones(2, dtype=int), np.ones(2) / 2)
    with pytest.raises(GenesError, match="0 of 180 genes"):
        tokens_of(tmp_path / "a.h5ad", other, TokenOptions(LENGTH))
    assert list((hs.settings.cache_dir / "tokens").iterdir()) == []


def test_paths_that_lead_nowhere_or_twice_to_one_file_are_refused(adata: AnnData, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nothing"):
        each_section(tmp_path / "no.h5ad")
    hs.io.write(adata, tmp_path / "a.h5ad")
    with pytest.raises(OptionError, match="twice"):
        each_section([tmp_path / "a.h5ad", str(tmp_path / ".." / tmp_path.name / "a.h5ad")])
    (tmp_path / "b.h5ad").write_bytes(b"no")
    with pytest.raises(FileError), open_source(tmp_path / "b.h5ad", None, "library_id"):
        pass
    with (
        pytest.raises(CountsError, match="only"),
        open_source(tmp_path / "a.h5ad", "molecules", "library_id") as source,
    ):
        next(source.blocks())


def test_patients_of_files_are_known(adata: AnnData, tmp_path: Path) -> None:
    adata.obs["patient"] = adata.obs["library_id"].astype(str).map(lambda name: f"P{name}").astype("category")
    hs.io.write(adata, tmp_path / "a.h5ad")
    _, patients = corpus_of([tmp_path / "a.h5ad"], hs.pp.fit_vocabulary(adata), TokenOptions(LENGTH))
    assert patients == [f"P{name}" for name in sorted(adata.obs["library_id"].unique())]
