"""Compute first, write last: what goes in comes out, and nothing else changes."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from histoscribe._errors import HistoscribeError, MissingError, OptionError
from histoscribe._keys import Keys, Slot, slots, slug, valid
from histoscribe._record import Targets, each, matrix, plain, require, write

from .marks import weekly


def _adata(n: int = 4) -> AnnData:
    return AnnData(np.ones((n, 3), dtype=np.float32))


class Boom(Exception):
    """Stands for Ctrl-C in the middle of writing."""


def test_write_records_how() -> None:
    adata = _adata()
    write(
        adata,
        {Keys.X_IMAGE.renamed("X_mine"): np.zeros((4, 2), np.float32)},
        by="tl.encode_image",
        params={"encoder": "mean_rgb", "none": None, "path": Path("/a/b"), "sizes": (1, 2)},
        inputs=[Keys.TILES],
        hashes={"encoder": "abc"},
    )
    entry = adata.uns["histoscribe"]["obsm.X_mine"]
    assert entry["by"] == "tl.encode_image"
    assert entry["inputs"] == ["obsm.tiles"]
    assert entry["params"] == {"encoder": "mean_rgb", "none": None, "path": "/a/b", "sizes": [1, 2]}
    assert entry["hashes"] == {"encoder": "abc"}


@pytest.mark.filterwarnings("ignore:Writing zarr v2:UserWarning", "ignore:Consolidated metadata")
@pytest.mark.parametrize("suffix", ["h5ad", *weekly("zarr")])
def test_every_slot_and_record_survives_a_file(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    adata = _adata()
    values: dict[str, Any] = {
        "(n, P) DataFrame": pd.DataFrame(rng.random((4, 2)), columns=["A", "B/C"]),
        "dict": {"a": 1},
        "(n,)": pd.Categorical(list("abab")),
    }
    outputs: dict[Slot, Any] = {}
    for slot in slots():
        if slot.where in ("layers", "var") or slot is Keys.RECORD or slot is Keys.LIBRARIES:  # readers fill these
            continue
        if slot.where == "obsp":
            outputs[slot] = anndata.AnnData(np.eye(4)).X
        else:
            outputs[slot] = values.get(slot.shape, rng.random((4, 3)))
    write(
        adata,
        outputs,
        by="test",
        params={"nested": {"a/b": [True, None]}, "none": None, "empty": [], "mixed": [1, "a"]},
    )
    path = tmp_path / f"a.{suffix}"
    adata.write_h5ad(path) if suffix == "h5ad" else adata.write_zarr(path)
    back = anndata.read_h5ad(path) if suffix == "h5ad" else anndata.read_zarr(path)
    for slot in outputs:
        held, wanted = getattr(back, slot.where)[slug(slot)], getattr(adata, slot.where)[slug(slot)]
        if isinstance(wanted, pd.DataFrame | pd.Series):
            assert held.equals(wanted)
        elif isinstance(wanted, dict):
            assert held == wanted
        else:
            np.testing.assert_array_equal(held, wanted)
    assert back.uns["histoscribe"]["obsm.tiles"]["by"] == "test"


def test_failure_in_the_middle_leaves_all_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from anndata._core.aligned_mapping import AxisArrays

    adata = _adata()
    write(adata, {Keys.X_IMAGE: np.zeros((4, 2))}, by="first", params={})
    before = adata.copy()
    original = AxisArrays.__setitem__

    def fail(self: Any, key: str, value: Any) -> None:
        if key == "X_genes" and len(value):
            raise Boom
        original(self, key, value)

    monkeypatch.setattr(AxisArrays, "__setitem__", fail)
    with pytest.raises(Boom):
        write(adata, {Keys.X_IMAGE: np.ones((4, 2)), Keys.X_GENES: np.ones((4, 2))}, by="second", params={})
    np.testing.assert_array_equal(adata.obsm["X_image"], before.obsm["X_image"])
    assert list(adata.obsm) == ["X_image"]
    assert adata.uns["histoscribe"] == before.uns["histoscribe"]


def test_wrong_number_of_rows_is_refused_before_anything_is_written() -> None:
    adata = _adata()
    with pytest.raises(HistoscribeError, match="3 rows"):
        write(adata, {Keys.X_IMAGE: np.zeros((4, 2)), Keys.X_GENES: np.zeros((3, 2))}, by="x", params={})
    assert not adata.obsm


@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_writing_to_a_view_leaves_the_parent_alone() -> None:
    parent = _adata(6)
    write(parent, {Keys.X_IMAGE: np.zeros((6, 2))}, by="first", params={})
    view = parent[:3]
    write(view, {Keys.X_IMAGE: np.ones((3, 2))}, by="second", params={})
    assert parent.uns["histoscribe"]["obsm.X_image"]["by"] == "first"
    assert parent.obsm["X_image"].sum() == 0
    assert view.obsm["X_image"].sum() == 6


def test_targets_copy_or_work_in_place() -> None:
    adata = _adata()
    assert Targets(adata, copy=False).result() is None
    assert next(iter(Targets(adata, copy=False))) is adata
    copied = Targets(adata, copy=True)
    assert copied.result() is next(iter(copied)) is not adata
    assert isinstance(Targets([adata, _adata()], copy=True).result(), list)


@pytest.mark.parametrize(
    ("wrong", "found"), [([], "empty list"), (3, "int"), ([1], "int"), (AnnData(np.ones((0, 2))), "0 obs")]
)
def test_what_is_no_section_is_refused(wrong: Any, found: str) -> None:
    with pytest.raises(OptionError, match=found):
        each(wrong)


def test_backed_is_refused(tmp_path: Path) -> None:
    _adata().write_h5ad(tmp_path / "a.h5ad")
    backed = anndata.read_h5ad(tmp_path / "a.h5ad", backed="r")
    with pytest.raises(OptionError, match="to_memory"):
        each(backed)
    backed.file.close()


def test_missing_slot_names_what_is_there_and_the_call() -> None:
    adata = _adata()
    adata.obsm["spatial"] = np.zeros((4, 2))
    with pytest.raises(MissingError, match=r"obsm\['tiles'\].*\['spatial'\].*hs\.pp\.tile") as caught:
        require(adata, Keys.TILES)
    assert isinstance(caught.value, KeyError)
    assert (caught.value.field, caught.value.fix[:10]) == ("obsm['tiles']", "Run hs.pp.")


def test_matrix_takes_arrays_and_tables_of_numbers() -> None:
    adata = _adata()
    adata.obsm["a"] = np.ones((4, 2), dtype=np.int64)
    adata.obsm["b"] = pd.DataFrame({"x": [1.0] * 4}, index=adata.obs_names)
    adata.obsm["c"] = pd.DataFrame({"x": list("abcd")}, index=adata.obs_names)
    assert matrix(adata, Keys.X_IMAGE.renamed("a")).dtype == np.float32
    assert matrix(adata, Keys.X_IMAGE.renamed("b")).shape == (4, 1)
    with pytest.raises(OptionError, match="use_rep"):
        matrix(adata, Keys.X_IMAGE.renamed("c"))


def test_names_that_break_files_are_mended() -> None:
    assert slug("TNFA/NFKB signalling") == "TNFA_NFKB signalling"
    assert slug("  ") == "_"
    assert valid("tiles") == "tiles_valid"
    assert plain({"a/b": {"c": np.float32(1), "d": (1, "x")}, "e": {3, 1}}) == {
        "a_b": {"c": 1.0, "d": ["1", "x"]},
        "e": [1, 3],
    }
    assert type(plain(Keys.TILES)) is str


@pytest.mark.parametrize(
    ("slot", "by", "free"),
    [
        (Keys.TILES.renamed("spatial"), "pp.tile", False),
        (Keys.X_IMAGE.renamed("X_genes"), "tl.encode_image", False),
        (Keys.DOMAIN.renamed("library_id"), "tl.domains_leiden", False),
        (Keys.X_IMAGE.renamed("X_mine"), "tl.encode_image", True),
        (Keys.DOMAIN, "tl.domains_gmm", True),
        (Keys.X_FUSED, "tl.embed", True),
        (Keys.SPATIAL, "io.read_st", True),
    ],
)
def test_key_added_can_not_overwrite_what_another_function_writes(slot: Slot, by: str, free: bool) -> None:
    adata = _adata()
    value = pd.Categorical(list("abab")) if slot.where == "obs" else np.zeros((4, 2))
    if free:
        write(adata, {slot: value}, by=by, params={})
        return
    with pytest.raises(OptionError, match=f"key_added.*{slot}"):
        write(adata, {slot: value}, by=by, params={})
    assert "histoscribe" not in adata.uns


def test_what_others_wrote_is_replaced_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    adata = _adata()
    adata.obsm["X_image"] = np.ones((4, 2))
    for _ in range(2):
        write(adata, {Keys.X_IMAGE: np.zeros((4, 2))}, by="tl.encode_image", params={})
    said = [record.message for record in caplog.records]
    assert said == ["tl.encode_image replaces obsm['X_image'], which histoscribe did not write"]
