"""HER2+ sections: files are found or the error says where to get them, and every spot has its own label."""

import hashlib
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from histoscribe import settings
from histoscribe._errors import FileError, OfflineError, OptionError
from histoscribe._files import Remote
from histoscribe._sections import section_mpp
from histoscribe.datasets import _her2st, _remote, her2st
from histoscribe.io import open_image

from ..marks import weekly


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small A1: 6 x 5 spots, labels by jittered array position, and a picture as the real one is painted."""
    root = tmp_path / "copy" / "her2st"
    for name in ("ST-cnts", "ST-spotfiles", "ST-pat/lbl", "ST-imgs-lowres"):
        (root / name).mkdir(parents=True)
    column, row = (axis.ravel() for axis in np.meshgrid(np.arange(10, 16), np.arange(5, 10)))
    names = [f"{x}x{y}" for x, y in zip(column, row, strict=True)]
    counts = pd.DataFrame(np.arange(60).reshape(30, 2), index=names, columns=["ERBB2", "CD3D"])
    counts.to_csv(root / "ST-cnts/A1.tsv.gz", sep="\t")
    spots = pd.DataFrame({"x": column, "y": row, "pixel_x": column * 218.0, "pixel_y": row * 218.0, "selected": 1})
    spots.to_csv(root / "ST-spotfiles/A1_selection.tsv", sep="\t", index=False)
    labels = pd.DataFrame({"x": column + 0.49, "y": row - 0.5, "label": [f"label {n}" for n in names]})
    labels.loc[3, ["x", "y"]] = np.nan
    labels.to_csv(root / "ST-pat/lbl/A1_labeled_coordinates.tsv", sep="\t", index=False, na_rep="NA")
    pixels = np.zeros((2138, 2000, 3), dtype=np.uint8)
    pixels[300:700, 400:1200] = (190, 120, 180)
    pixels[500:503, 700:703] = 0  # a dark nucleus
    pixels[:540, 1490:] = (230, 200, 230)
    Image.fromarray(pixels).save(root / "ST-imgs-lowres/A1_HE_image_dark.png")
    remotes = {
        f"her2st/{path.relative_to(root)}": Remote(
            f"her2st/{path.relative_to(root)}", _sha256(path), f"https://nowhere.invalid/{path.name}"
        )
        for path in root.rglob("*.*")
    }
    monkeypatch.setattr(_remote, "registry", lambda: remotes)
    monkeypatch.setenv("HISTOSCRIBE_DATA", str(root.parent))
    return root


def test_a_small_a1(folder: Path) -> None:
    adata = her2st("A1")
    assert adata.shape == (30, 2)
    assert set(adata.obs["patient"]) == {"A"}
    assert section_mpp(adata, "A1") == pytest.approx(200 / 218)
    regions = adata.obs["region"]
    assert regions.isna().sum() == 1
    assert all(label == f"label {spot}" for spot, label in regions.items() if spot != "13x5")
    metadata = adata.uns["spatial"]["A1"]["metadata"]
    assert metadata["image_scale"] == 2000 / 6900
    with Image.open(metadata["source_image_path"]) as picture:
        pixels = np.asarray(picture)
    assert (pixels[:540, 1490:] == 255).all()
    assert (pixels[1000, 1000] == 255).all()
    assert (pixels[501, 701] == 0).all()
    assert (pixels[600, 600] == (190, 120, 180)).all()


def test_the_cleaned_picture_is_made_once(folder: Path) -> None:
    path = Path(her2st("A1").uns["spatial"]["A1"]["metadata"]["source_image_path"])
    assert path.is_relative_to(settings.cache_dir)
    made = path.stat().st_mtime_ns
    her2st("A1")
    assert path.stat().st_mtime_ns == made


def test_a_broken_copy_is_an_error(folder: Path) -> None:
    path = folder / "ST-cnts/A1.tsv.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileError, match=r"A1.tsv.gz: found sha256 .*The file is broken"):
        her2st("A1")


def _registered() -> list[Remote]:
    return list(_remote.registry().values())


@pytest.mark.parametrize("how", ["variable", "unreachable"])
def test_offline_it_says_at_once_what_to_do(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HISTOSCRIBE_DATA", raising=False)
    for proxy in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    if how == "variable":
        monkeypatch.setenv("HISTOSCRIBE_OFFLINE", "1")
    else:
        monkeypatch.delenv("HISTOSCRIBE_OFFLINE", raising=False)
        away = {one.name: Remote(one.name, one.sha256, "https://nowhere.invalid/x") for one in _registered()}
        monkeypatch.setattr(_remote, "registry", lambda: away)
    started = time.perf_counter()
    with pytest.raises(OfflineError) as caught:
        her2st("C2")
    assert time.perf_counter() - started < 2
    message = str(caught.value)
    assert "HISTOSCRIBE_DATA" in message
    assert str(settings.cache_dir / "data" / "her2st" / "ST-cnts" / "C2.tsv.gz") in message
    for name in ("ST-cnts/C2.tsv.gz", "ST-spotfiles/C2_selection.tsv", "ST-imgs/C2/5714_HE_BT_C2.jpg"):
        assert f"curl --create-dirs -Lo her2st/{name} https://" in message


@pytest.mark.parametrize("section", ["G1", "c2", "", 3])
def test_unknown_sections(section: str) -> None:
    with pytest.raises(OptionError, match=r"section: found .*('F3'.*Choose|a text)"):
        her2st(section)


def test_the_registry_has_every_file_once() -> None:
    text = Path(_remote.__file__).with_name("registry.tsv").read_text().splitlines()
    assert len(text) - 1 == len(_remote.registry())
    for section in _her2st._SECTIONS:
        assert f"her2st/ST-cnts/{section}.tsv.gz" in _remote.registry()
        assert f"her2st/ST-spotfiles/{section}_selection.tsv" in _remote.registry()
    for remote in _remote.registry().values():
        assert len(remote.sha256) == 64
        assert remote.url.startswith("https://")


@pytest.mark.parametrize(
    ("section", "shape"), [("C2", (187, 15706)), *weekly(("B4", (283, 15289)), ("A1", (346, 15045)))]
)
def test_real_sections(section: str, shape: tuple[int, int], data: Path) -> None:
    from histoscribe.io._link import as_uint8_rgb
    from histoscribe.io._tissue import tissue_mask_of

    adata = her2st(section)
    assert adata.shape == shape
    with open_image(adata) as image:
        picture, scale = image.thumbnail(1500)
    x, y = (adata.obsm["spatial"] * scale).astype(int).T
    assert tissue_mask_of(as_uint8_rgb(picture))[y, x].mean() > 0.93
    assert section_mpp(adata, section) == pytest.approx(0.916 if section == "A1" else 0.688, rel=0.005)


@pytest.mark.weekly
def test_every_real_section_without_an_image(data: Path) -> None:
    adata = her2st("F1")
    assert adata.uns["spatial"]["F1"]["images"] == {}
    assert adata.obs["region"].notna().mean() > 0.95
