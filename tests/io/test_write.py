"""What io.write writes comes back as it was, or is refused by name before anything is written."""

import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr
from anndata import AnnData

import histoscribe as hs
from histoscribe import _atomic
from histoscribe._errors import FileError, OptionError

from ..digest import digest
from ..marks import weekly
from ..toys import cached_toy

FORMATS = ("h5ad", "zarr")
RNG = np.random.default_rng(0)


def _stock(path: Path) -> AnnData:
    return anndata.read_zarr(path) if path.is_dir() else anndata.read_h5ad(path)


def _small(n: int = 6) -> AnnData:
    obs = pd.DataFrame(index=[f"spot {i}" for i in range(n)])
    return AnnData(RNG.poisson(2, (n, 4)).astype(np.float32), obs=obs, var=pd.DataFrame(index=list("abcd")))


def _rich() -> AnnData:
    adata = _small()
    adata.obs["category"] = pd.Categorical(["b", "a", None, "a", "b", "b"], categories=["c", "b", "a"], ordered=True)
    adata.obs["level"] = pd.Categorical([2, 1, 1, 2, 2, 1])
    adata.obs["text"] = ["x", "ü", "", "long text", "x", "None"]
    adata.obs["flag"] = [True, False, True, True, False, False]
    adata.obs["missing"] = pd.array([True, None, False, None, True, False], dtype="boolean")
    adata.obs["count"] = pd.array([1, None, 3, 4, 5, 6], dtype="Int64")
    adata.obs["share"] = np.array([0.1, np.nan, np.inf, -0.0, 1e-40, 5], dtype=np.float32)
    adata.var["gene_ids"] = ["ENSG1", "ENSG2", "ENSG3", "ENSG4"]
    adata.raw = adata.copy()
    for name in ("csr", "csc"):
        adata.layers[name] = sp.random(6, 4, 0.4, format=name, random_state=0, dtype=np.float64)
    adata.layers["integers"] = RNG.integers(0, 9, (6, 4)).astype(np.uint16)
    adata.obsm["X_image"] = RNG.normal(size=(6, 3)).astype(np.float32)
    adata.obsm["half"] = RNG.normal(size=(6, 2)).astype(np.float16)
    adata.obsm["none"] = np.zeros((6, 0))
    adata.obsm["table"] = pd.DataFrame({"p": RNG.normal(size=6), "q": list("uvwxyz")}, index=adata.obs_names)
    adata.obsm["sparse"] = sp.csr_matrix(np.eye(6)[:, :3])
    adata.obsp["graph"] = sp.csr_matrix(np.eye(6, k=1))
    adata.varm["loadings"] = RNG.normal(size=(4, 2))
    adata.uns = {
        "none": None,
        "nested": {"deep": {"number": 3, "share": 0.25, "flag": True, "text": "ü", "nan": float("nan")}, "empty": {}},
        "words": np.array(["a", "bb"], dtype=object),
        "nothing": np.array([], dtype=np.int64),
        "bits": np.array([[True, False]]),
        "wide": np.arange(6.0).reshape(2, 3),
        "picture": RNG.integers(0, 255, (5, 4, 3), dtype=np.uint8),
        "frame": pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}, index=["r", "s"]),
        "labels": pd.Categorical(["u", None, "v"]),
    }
    return adata


def _one_spot() -> AnnData:
    return _small(1)


def _no_spots() -> AnnData:
    return _rich()[:0].copy()


def _no_genes() -> AnnData:
    return _rich()[:, :0].copy()


def _without_x() -> AnnData:
    return AnnData(obs=pd.DataFrame({"a": [1, 2]}, index=["x", "y"]))


def _view() -> AnnData:
    return _rich()[[4, 0, 2], [3, 1]]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("make", [_rich, _one_spot, _no_spots, _no_genes, _without_x, _view])
def test_everything_comes_back_bit_for_bit(make: Callable[[], AnnData], kind: str, tmp_path: Path) -> None:
    adata, path = make(), tmp_path / f"x.{kind}"
    before = digest(adata)
    hs.io.write(adata, path)
    assert digest(adata) == before
    back = hs.io.read(path)
    assert digest(back) == before
    assert (back.raw is None) == (adata.raw is None)
    if adata.raw is not None:
        assert digest(back.raw.to_adata()) == digest(adata.raw.to_adata())
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("kind", FORMATS)
def test_anndata_reads_it_as_its_own(kind: str, tmp_path: Path) -> None:
    adata, path = _rich(), tmp_path / f"x.{kind}"
    hs.io.write(adata, path)
    stock = _stock(path)  # a warning would be an error here
    stock.uns["words"] = stock.uns["words"].astype(object)  # zarr's text is of another type
    assert digest(stock) == digest(adata)


@pytest.mark.parametrize("kind", ["h5ad", *weekly("zarr")])
def test_a_worked_section_comes_back(kind: str, tmp_path: Path) -> None:
    adata = cached_toy(n_spots=20, n_genes=200)
    hs.pp.tile(adata)
    hs.pp.spatial_graph(adata)
    hs.pp.score_pathways(adata, adata.uns["truth"]["gene_sets"])
    hs.tl.encode_image(adata, "mean_rgb", cache=False)
    path = tmp_path / f"x.{kind}"
    hs.io.write(adata, path)
    back = hs.io.read(path)
    for where in ("obs", "var", "X", "obsm", "obsp", "layers"):
        assert digest(_held(back, where)) == digest(_held(adata, where)), where
    assert digest(back.uns) == digest(_as_arrays(adata.uns))
    del back.obsm["X_image"]
    hs.tl.encode_image(back, "mean_rgb", cache=False)
    np.testing.assert_array_equal(back.obsm["X_image"], adata.obsm["X_image"])


def _held(adata: AnnData, where: str) -> Any:
    value = getattr(adata, where)
    return dict(value) if where in ("obsm", "obsp", "layers") else value


def _as_arrays(value: Any) -> Any:
    """Lists as anndata writes them."""
    if isinstance(value, dict):
        return {key: _as_arrays(item) for key, item in value.items()}
    if isinstance(value, list):
        array = np.array(value)
        return array.astype(object) if array.dtype.kind == "U" else array
    return value.item() if isinstance(value, np.generic) else value


REFUSED: dict[str, tuple[Callable[[AnnData], Any], str, str]] = {
    "tuple": (lambda a: a.uns.update(k={"inner": (1, 2)}), r"uns\['k'\]\['inner'\]", r"list\("),
    "set": (lambda a: a.uns.update(k={1}), r"uns\['k'\]", r"sorted\("),
    "Path": (lambda a: a.uns.update(k=Path("a")), r"uns\['k'\]", "text"),
    "object": (lambda a: a.uns.update(k=object()), r"uns\['k'\]", "remove"),
    "bytes": (lambda a: a.uns.update(k=b"a"), r"uns\['k'\]", "text"),
    "number too large": (lambda a: a.uns.update(k=2**70), r"uns\['k'\]", "text"),
    "integer key": (lambda a: a.uns.update({3: "x"}), r"uns\[3\]", "'3'"),
    "slash in a key": (lambda a: a.uns.update(k={"a/b": 1}), r"uns\['k'\]\['a/b'\]", "Rename"),
    "empty key": (lambda a: a.uns.update({"": 1}), r"uns\[''\]", "Rename"),
    "dot for a key": (lambda a: a.uns.update({".": 1}), r"uns\['.'\]", "Rename"),
    "mixed list": (lambda a: a.uns.update(k=[1, "a"]), r"uns\['k'\]", "text alone"),
    "list with None": (lambda a: a.uns.update(k=[None, "a"]), r"uns\['k'\]", "text alone"),
    "list of dicts": (lambda a: a.uns.update(k=[{"a": 1}]), r"uns\['k'\]", "text alone"),
    "ragged list": (lambda a: a.uns.update(k=[[1], [2, 3]]), r"uns\['k'\]", "dict of lists"),
    "array with None": (lambda a: a.uns.update(k=np.array(["a", None], dtype=object)), r"uns\['k'\]", "astype"),
    "array of objects": (lambda a: a.uns.update(k=np.array([1, 2], dtype=object)), r"uns\['k'\]", "astype"),
    "masked array": (lambda a: a.uns.update(k=np.ma.array([1.0, 2], mask=[False, True])), r"uns\['k'\]", "filled"),
    "zero byte in text": (lambda a: a.uns.update(k="a\0b"), r"uns\['k'\]", ""),
    "half a surrogate": (lambda a: a.uns.update(k="a\ud800"), r"uns\['k'\]", ""),
    "series": (lambda a: a.uns.update(k=pd.Series([1])), r"uns\['k'\]", "to_numpy"),
    "coo matrix": (lambda a: a.uns.update(k=sp.coo_matrix(np.eye(2))), r"uns\['k'\]", "tocsr"),
    "mixed column": (lambda a: a.obs.insert(0, "c", ["a", 1, 2, "b", 3, None]), r"obs\['c'\]", "astype"),
    "column with missing text": (
        lambda a: a.obs.insert(0, "c", pd.Series(["a", None, *"bcde"], a.obs_names, dtype=object)), r"obs\['c'\]", "category",
    ),
    "intervals": (lambda a: a.obs.insert(0, "c", pd.cut(range(6), 3)), r"obs\['c'\]", r"astype\(str\)"),
    "dates and text": (
        lambda a: a.var.insert(0, "c", pd.Categorical(["x", 1, "x", 1])), r"var\['c'\]", r"astype\(str\)",
    ),
    "slash in a column": (lambda a: a.obs.insert(0, "a/b", 1.0), r"obs\['a/b'\]", "Rename"),
    "number for a column": (lambda a: a.obs.insert(0, 5, 1.0), r"obs\[5\]", "'5'"),
    "column twice": (lambda a: a.obs.insert(0, "t", 1.0) or a.obs.insert(0, "t", 2.0, allow_duplicates=True), "obs", ""),
    "masked vectors": (
        lambda a: a.obsm.update(v=np.ma.array(np.ones((6, 2)), mask=np.eye(6, 2, dtype=bool))), r"obsm\['v'\]", "filled",
    ),
    "slash in obsm": (lambda a: a.obsm.update({"a/b": np.ones((6, 1))}), r"obsm\['a/b'\]", "Rename"),
}  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.filterwarnings("ignore::anndata.ImplicitModificationWarning")
def test_what_can_not_be_stored_is_refused_by_name_before_anything_is_written(
    name: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adata, path = _small(), tmp_path / "new" / f"x.{kind}"
    spoil, field, fix = REFUSED[name]
    spoil(adata)
    with pytest.raises(OptionError) as caught:
        hs.io.write(adata, path)
    assert re.search(rf"adata\.{field}", caught.value.field)
    assert re.search(fix, caught.value.fix)
    assert not path.parent.exists()


@pytest.mark.parametrize("kind", FORMATS)
def test_missing_text_of_pandas_own_type_is_refused_or_comes_back(kind: str, tmp_path: Path) -> None:
    adata = _small()
    adata.obs["c"] = pd.array(
        ["a", None, *"b" * (adata.n_obs - 2)], dtype="str" if int(pd.__version__[0]) > 2 else "string"
    )
    path = tmp_path / f"x.{kind}"
    if int(pd.__version__[0]) < 3:  # anndata writes these only if its settings say so
        with pytest.raises(OptionError, match=r"obs\['c'\]"):
            hs.io.write(adata, path)
    else:
        hs.io.write(adata, path)
        assert hs.io.read(path).obs["c"].equals(adata.obs["c"])


@pytest.mark.parametrize("kind", FORMATS)
def test_dates_are_refused_or_come_back(kind: str, tmp_path: Path) -> None:
    adata = _small()
    adata.uns["when"] = np.array(["2020-01-01", "2021-02-03"], dtype="M8[D]")
    if kind == "h5ad":
        with pytest.raises(OptionError, match=r"adata\.uns\['when'\]"):
            hs.io.write(adata, tmp_path / "x.h5ad")
        assert not os.listdir(tmp_path)
    else:
        hs.io.write(adata, tmp_path / "x.zarr")
        np.testing.assert_array_equal(hs.io.read(tmp_path / "x.zarr").uns["when"], adata.uns["when"])


@pytest.mark.parametrize("given", ["list", "backed", "SpatialData", "ending"])
def test_other_things_are_refused(given: str, tmp_path: Path) -> None:
    adata = _small()
    path = tmp_path / ("x.h5" if given == "ending" else "x.h5ad")
    if given == "backed":
        hs.io.write(adata, tmp_path / "b.h5ad")
        adata = anndata.read_h5ad(tmp_path / "b.h5ad", backed="r")
    held: Any = {"list": [adata], "SpatialData": object()}.get(given, adata)
    said = {"backed": r"backed AnnData.*to_memory", "ending": r"\.h5ad.*\.zarr"}.get(given, "one by one")
    with pytest.raises(OptionError, match=said):
        hs.io.write(held, path)
    assert not path.exists()


def _text(path: Path) -> None:
    path.write_text("years of work")


def _other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["matrix"] = np.arange(3)


def _folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("years of work")


def _spatialdata(path: Path) -> None:
    group = zarr.open_group(path, mode="w", attributes={"spatialdata_attrs": {"version": "0.1"}})
    group.create_group("images")


def _with_notes(path: Path) -> None:
    hs.io.write(_small(), path)
    (path / "notes.txt").write_text("years of work")


FOREIGN = [
    ("x.h5ad", _text), ("x.h5ad", _other_hdf5), ("x.h5ad", _folder), ("x.zarr", _text), ("x.zarr", _folder),
    ("x.zarr", _spatialdata), ("x.zarr", _with_notes),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make"), FOREIGN)
def test_what_is_no_anndata_is_never_replaced(name: str, make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / name)
    before = _content(tmp_path)
    with pytest.raises(FileError, match="Nothing was touched"):
        hs.io.write(_small(), tmp_path / name)
    assert _content(tmp_path) == before


def _content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("kind", FORMATS)
def test_an_anndata_is_replaced_whoever_wrote_it_unless_told_not_to(kind: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (anndata.io.write_zarr if kind == "zarr" else anndata.io.write_h5ad)(path, _small(3))
    adata = _small()
    with pytest.raises(FileError, match="overwrite=True"):
        hs.io.write(adata, path, overwrite=False)
    for _ in range(2):
        hs.io.write(adata, path)
        assert digest(hs.io.read(path)) == digest(adata)
    broken = path if kind == "h5ad" else path / "X" / (".zarray" if (path / "X" / ".zarray").exists() else "zarr.json")
    broken.write_bytes(broken.read_bytes()[:20])  # as a plain write leaves it that was killed
    hs.io.write(adata, path)
    assert digest(hs.io.read(path)) == digest(adata)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_link_is_followed(kind: str, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    link, there = tmp_path / f"x.{kind}", tmp_path / "disk" / f"real.{kind}"
    link.symlink_to(there)
    for n in (3, 5):
        hs.io.write(_small(n), link)
        assert link.is_symlink()
        assert hs.io.read(there).n_obs == n
    assert os.listdir(there.parent) == [there.name]


@pytest.fixture
def _umask() -> Iterator[None]:
    old = os.umask(0o027)
    yield
    os.umask(old)


@pytest.mark.usefixtures("_umask")
@pytest.mark.parametrize("kind", FORMATS)
def test_permissions_follow_the_umask(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "group" / f"x.{kind}"
    hs.io.write(_small(), path)
    for one in (path.parent, path, *path.rglob("*")):
        assert one.stat().st_mode & 0o777 == (0o750 if one.is_dir() else 0o640), one


def test_folder_is_replaced_in_one_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zarr"
    hs.io.write(_small(3), path)
    exchanged = []
    swap = _atomic._swap

    def looking(one: Path, other: Path) -> bool:
        assert hs.io.read(path).n_obs == 3
        exchanged.append(swap(one, other))
        assert hs.io.read(path).n_obs == 5
        return exchanged[0]

    monkeypatch.setattr(_atomic, "_swap", looking)
    hs.io.write(_small(5), path)
    assert exchanged == [True] or not hasattr(os, "uname") or os.uname().sysname not in ("Linux", "Darwin")


def test_system_that_can_not_exchange_names_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.zarr"
    hs.io.write(_small(3), path)
    monkeypatch.setattr(_atomic, "_swap", lambda *_: False)
    hs.io.write(_small(5), path)
    assert hs.io.read(path).n_obs == 5
    path.rename(tmp_path / ".x.zarr.old")  # killed between the two renames
    assert hs.io.read(path).n_obs == 5
    path.rename(tmp_path / ".x.zarr.old")
    hs.io.write(_small(4), path)
    assert hs.io.read(path).n_obs == 4
    assert os.listdir(tmp_path) == ["x.zarr"]


def test_images_are_found_beside_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    (tmp_path / "one").mkdir()
    pixels = RNG.integers(0, 255, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "one" / "he.png")
    adata = _small()
    adata.uns["spatial"] = {"s": {"images": {}, "metadata": {"mpp": 0.5, "source_image_path": "he.png"}}}
    monkeypatch.chdir(tmp_path)
    for kind in FORMATS:
        hs.io.write(adata, tmp_path / "one" / f"x.{kind}")
    (tmp_path / "one").rename(tmp_path / "two")
    for kind in FORMATS:
        back = hs.io.read(tmp_path / "two" / f"x.{kind}")
        with hs.io.open_image(back[:3].copy()) as image:
            np.testing.assert_array_equal(image.read(0, 0, 40, 30), pixels)
    assert adata.uns["spatial"]["s"]["metadata"]["source_image_path"] == "he.png"


@pytest.mark.parametrize("kind", FORMATS)
def test_files_of_others_are_read_and_the_log_says_that_nothing_was_checked(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    adata, path = _rich(), tmp_path / f"x.{kind}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (anndata.io.write_zarr if kind == "zarr" else anndata.io.write_h5ad)(
            path, adata, convert_strings_to_categoricals=False
        )
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        assert digest(hs.io.read(path)) == digest(adata)
        assert "can't be checked" in caplog.text
        caplog.clear()
        hs.io.write(adata, path)
        hs.io.read(path)
        assert not caplog.text


def test_manifest_says_version_format_and_hash_of_each_element(tmp_path: Path) -> None:
    hs.io.write(_rich(), tmp_path / "x.h5ad")
    with h5py.File(tmp_path / "x.h5ad") as file:
        held = json.loads(file.attrs["histoscribe-manifest"])
    assert held["format"] == 1
    assert held["version"]
    assert {"X", "obs", "obs/text", "obsm/X_image", "uns/nested", "raw/X"} <= set(held["elements"])
    assert re.fullmatch(r"72 bytes, sha256 [0-9a-f]{64}", held["elements"]["obsm/X_image"])


@pytest.mark.weekly
def test_full_disk_at_any_byte_costs_neither_the_old_file_nor_the_process(tmp_path: Path) -> None:
    """HDF5 that met a write error crashes later: with a real size limit, at many places, and then writing goes on."""
    resource = pytest.importorskip("resource")
    path, adata = tmp_path / "x.h5ad", _rich()
    hs.io.write(adata, path)
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for limit in range(0, len(before) - 100, len(before) // 25):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limits[1]))
        try:
            with pytest.raises(FileError, match="File too large"):
                hs.io.write(adata, path)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert path.read_bytes() == before
        assert os.listdir(tmp_path) == [path.name]
    hs.io.write(adata, path)
    assert digest(hs.io.read(path)) == digest(adata)
