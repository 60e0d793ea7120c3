"""A file that is damaged after it was written is an error that names what is damaged, or reads as it was."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from anndata import AnnData

import histoscribe as hs
from histoscribe._errors import FileError
from histoscribe.io import _manifest, _trailer

from ..digest import digest
from ..marks import weekly


def _section() -> AnnData:
    rng = np.random.default_rng(0)
    adata = AnnData(rng.poisson(2, (40, 5)).astype(np.float32), obs=pd.DataFrame(index=[f"s{i}" for i in range(40)]))
    adata.obs["domain"] = pd.Categorical(rng.choice(["a", "b"], 40))
    adata.obsm["X_image"] = rng.normal(size=(40, 8)).astype(np.float32)
    adata.uns["histoscribe"] = {"obsm.X_image": {"by": "tl.encode_image"}}
    return adata


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("whole")
    for kind in ("h5ad", "zarr"):
        hs.io.write(_section(), folder / f"x.{kind}")
    return {kind: folder / f"x.{kind}" for kind in ("h5ad", "zarr")}


def _copy(path: Path, folder: Path) -> Path:
    to = folder / path.name
    if to.is_dir():
        shutil.rmtree(to)
    shutil.copytree(path, to) if path.is_dir() else shutil.copy(path, to)
    return to


def _deleted(file: Path) -> None:
    file.unlink()


def _truncated(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])


def _flipped(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) * 3 // 4] ^= 4
    file.write_bytes(bytes(content))


@pytest.mark.filterwarnings("ignore")  # of anndata, about what it can't make out
@pytest.mark.parametrize("damage", [_deleted, *weekly(_truncated, _flipped)])
def test_no_damage_to_any_file_of_a_zarr_passes(
    damage: Callable[[Path], None], whole: dict[str, Path], tmp_path: Path
) -> None:
    names = sorted(p.relative_to(whole["zarr"]) for p in whole["zarr"].rglob("*") if p.is_file())
    wanted, raised = digest(_section()), []
    misnamed: list[str] = []
    for name in names:
        path = _copy(whole["zarr"], tmp_path)
        damage(path / name)
        try:
            assert digest(hs.io.read(path)) == wanted, name
        except FileError as error:
            raised.append(str(name))
            if not name.name.startswith((".z", "zarr")):  # a chunk: the element is known
                element = "/".join(name.parts[: 1 if name.parts[0] == "X" else 2])
                misnamed += [] if f"x.zarr: {element}" in error.field else [error.field]
    assert {str(name) for name in names if not name.name.startswith((".z", "zarr"))} <= set(raised)
    assert not misnamed


def test_plain_zarr_reads_the_deleted_chunk_as_zeros(whole: dict[str, Path], tmp_path: Path) -> None:
    path = _copy(whole["zarr"], tmp_path)
    for chunk in (path / "obsm" / "X_image").rglob("*"):
        if chunk.is_file() and not chunk.name.startswith((".z", "zarr")):
            chunk.unlink()
    assert not np.asarray(anndata.read_zarr(path).obsm["X_image"]).any()  # why there is a manifest
    with pytest.raises(FileError, match=r"obsm/X_image.*damaged: copy it again"):
        hs.io.read(path)


@pytest.mark.filterwarnings("ignore")
def test_no_damage_to_an_h5ad_passes(whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_trailer, "_damaged", str)  # a process for each is slow
    content, wanted = whole["h5ad"].read_bytes(), digest(_section())
    rng = np.random.default_rng(1)
    path = tmp_path / "x.h5ad"
    raised = 0
    for k in rng.integers(0, len(content), 200):
        spoilt = bytearray(content)
        spoilt[k] ^= 1 << rng.integers(8)
        path.write_bytes(bytes(spoilt))
        try:
            assert digest(hs.io.read(path)) == wanted, k
        except FileError:
            raised += 1
    assert raised > 190  # all but flips in the hash's own mark
    for size in (0, 5, 100, len(content) // 2, len(content) - 1000):
        path.write_bytes(content[:size])
        with pytest.raises(FileError, match=r"x\.h5ad"):
            hs.io.read(path)


def _with_a_flipped_bit(whole: Path, folder: Path) -> Path:
    """Copy of an h5ad whose image vectors are damaged."""
    content, path = bytearray(whole.read_bytes()), folder / "x.h5ad"
    content[content.index(np.asarray(_section().obsm["X_image"]).tobytes()[:64]) + 5] ^= 1
    path.write_bytes(content)
    return path


def test_the_damaged_element_of_an_h5ad_is_named(whole: dict[str, Path], tmp_path: Path) -> None:
    path = _with_a_flipped_bit(whole["h5ad"], tmp_path)
    with pytest.raises(FileError, match=r"x\.h5ad: obsm/X_image.*damaged: copy it again"):
        hs.io.read(path)


def test_no_code_of_the_working_directory_runs(
    whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _with_a_flipped_bit(whole["h5ad"], tmp_path)
    for name in ("h5py", "json", "histoscribe", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w').close()")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError, match="damaged"):
        hs.io.read(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda root: root["obsm"].__delitem__("X_image"), r"obsm.*another content|obsm/X_image.*nothing"),
        (lambda root: root["layers"].create_group("more"), "layers"),
        (lambda root: root.create_group("more"), "more.*not written with the rest"),
        (lambda root: root.attrs.update({_manifest.NAME: "{"}), "manifest.*JSONDecodeError"),
        (lambda root: root.attrs.update({_manifest.NAME: '{"format": 1}'}), "manifest.*elements"),
        (
            lambda root: root.attrs.update({_manifest.NAME: json.dumps({"format": 2, "version": "9.9"})}),
            r"format 2.*histoscribe 9\.9",
        ),
    ],
)
def test_changed_elements_and_manifests_are_refused(
    kind: str, change: Callable[..., None], says: str, whole: dict[str, Path], tmp_path: Path
) -> None:
    path = _copy(whole[kind], tmp_path)
    if kind == "h5ad":
        with h5py.File(path, "r+") as file:
            change(file)
    else:
        root = zarr.open_group(path, mode="r+", use_consolidated=False)
        change(root)
        if root.metadata.zarr_format == 2:
            zarr.consolidate_metadata(root.store)
    with pytest.raises(FileError, match=says):
        hs.io.read(path)


@pytest.mark.parametrize("given", ["nothing", "text", "empty folder", "SpatialData", "10x"])
def test_what_is_no_anndata_is_an_error(given: str, tmp_path: Path) -> None:
    path = tmp_path / "x.h5ad"
    if given == "text":
        path.write_text("cell,gene\n")
    elif given == "empty folder":
        path.mkdir()
    elif given == "SpatialData":
        zarr.open_group(path, mode="w", attributes={"spatialdata_attrs": {"version": "0.1"}})
    elif given == "10x":
        with h5py.File(path, "w") as file:
            file.create_group("matrix")
    said = {"nothing": "Check the path", "SpatialData": "from_spatialdata", "10x": "read_visium"}.get(given, r"x\.h5ad")
    with pytest.raises(FileError, match=said):
        hs.io.read(path)


def test_file_that_is_replaced_while_it_is_read_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, later = tmp_path / "x.zarr", _section()
    hs.io.write(_section(), path)
    later.obsm["X_image"] += 1
    real = _manifest.describe
    done: list[str] = []

    def slow(root: object, name: str, wanted: str = "") -> str | None:
        if wanted and not done:
            done.append(name)
            hs.io.write(later, path)
        return real(root, name, wanted)

    monkeypatch.setattr(_manifest, "describe", slow)
    assert digest(hs.io.read(path)) == digest(later)
    assert done
