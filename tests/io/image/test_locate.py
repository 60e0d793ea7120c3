"""The image of an AnnData's section."""

from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from PIL import Image

from histoscribe._errors import ImageError, MissingError, ScaleError
from histoscribe.io import open_image

RGB = np.random.default_rng(0).integers(0, 256, (80, 120, 3), dtype=np.uint8)
HIRES = RGB[::4, ::4]


def section(metadata: dict[str, Any], *, hires: Any = HIRES, name: str = "A1") -> AnnData:
    adata = AnnData(np.zeros((2, 1), dtype=np.float32))
    images = {} if hires is None else {"hires": hires}
    entry = {"images": images, "scalefactors": {"tissue_hires_scalef": 0.25}, "metadata": metadata}
    adata.uns["spatial"] = {name: entry}
    return adata


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RGB).save(tmp_path / "slide.png")
    return tmp_path / "slide.png"


def test_linked_file(path: Path) -> None:
    with open_image(section({"source_image_path": str(path), "mpp": 0.5})) as opened:
        assert (opened.width, opened.height, opened.mpp, opened.source) == (120, 80, 0.5, str(path))
        np.testing.assert_array_equal(opened.read(10, 20, 30, 40), RGB[20:60, 10:40])
    with open_image(section({"source_image_path": str(path), "mpp": 0.5}), mpp=0.25) as opened:
        assert opened.mpp == 0.25


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_image_scale(path: Path, scale: float) -> None:
    """120 pixels of the image are 120 / scale of the frame."""
    with open_image(section({"source_image_path": str(path), "mpp": 0.5, "image_scale": scale})) as opened:
        assert (opened.width, opened.height, opened.mpp) == (120 / scale, 80 / scale, 0.5)
        found = opened.read(10 / scale, 20 / scale, 30 / scale, 40 / scale, mpp=0.5 / scale)
        np.testing.assert_array_equal(found, RGB[20:60, 10:40])
        whole, factor = opened.thumbnail()
        np.testing.assert_array_equal(whole, RGB)
        assert factor == scale


def test_scale_of_the_file_is_brought_to_the_frame(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "slide.tif", RGB, photometric="rgb", resolution=(20_000, 20_000), resolutionunit=3)
    metadata = {"source_image_path": str(tmp_path / "slide.tif"), "image_scale": 0.5}
    with open_image(section(metadata)) as opened:
        assert opened.mpp == pytest.approx(0.25)  # two frame pixels in one of 0.5 um


def test_relative_paths(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    adata = section({"source_image_path": "slide.png", "mpp": 0.5}, hires=None)
    with pytest.raises(ImageError, match=r"no file at slide\.png"):
        open_image(adata)
    adata.write_h5ad(tmp_path / "section.h5ad")
    backed = anndata.read_h5ad(tmp_path / "section.h5ad", backed="r")
    with open_image(backed) as opened:
        assert opened.source == str(path)
    backed.file.close()
    monkeypatch.chdir(tmp_path)
    with open_image(adata) as opened:
        assert opened.width == 120


def test_hires_with_a_warning() -> None:
    missing = {"source_image_path": "/nowhere/slide.tif", "mpp": 0.5}
    with pytest.warns(UserWarning, match=r"no file at /nowhere/slide\.tif.*hires.*2 um per pixel"):
        opened = open_image(section(missing))
    assert (opened.width, opened.height, opened.mpp, opened.source) == (120, 80, 0.5, "array")
    np.testing.assert_array_equal(opened.read(8, 16, 40, 20, mpp=2), HIRES[4:9, 2:12])
    with pytest.warns(UserWarning, match=r"no linked file.*0\.25 of full resolution"):
        opened = open_image(section({}))
    assert not opened.has_mpp


def test_hires_as_matplotlib_reads_it() -> None:
    """scanpy's reader divides an 8-bit PNG by 255."""
    with pytest.warns(UserWarning, match="hires"):
        opened = open_image(section({}, hires=HIRES.astype(np.float32) / 255))
    assert opened.dtype == np.uint8
    np.testing.assert_array_equal(opened.thumbnail()[0], HIRES)


def test_several_sections(path: Path) -> None:
    adata = section({"source_image_path": str(path), "mpp": 0.5})
    adata.uns["spatial"]["B1"] = {"metadata": {"source_image_path": str(path), "mpp": 0.7}}
    with pytest.raises(MissingError, match=r"A1.*B1.*library_id="):
        open_image(adata)
    with open_image(adata, library_id="B1") as opened:
        assert opened.mpp == 0.7
    with pytest.raises(MissingError, match="C1"):
        open_image(adata, library_id="C1")
    adata.obs["library_id"] = pd.Categorical(["B1", "B1"], categories=["A1", "B1"])
    with open_image(adata) as opened:  # the rows of one section alone
        assert opened.mpp == 0.7


def test_what_is_missing_or_wrong_is_named(path: Path) -> None:
    with pytest.raises(MissingError, match="uns"):
        open_image(AnnData(np.zeros((1, 1))))
    with pytest.raises(ImageError, match=r"image of 'A1'.*source_image_path"):
        open_image(section({}, hires=None))
    linked = {"source_image_path": str(path)}
    for scale in (0, -1, float("nan"), "big", None):
        with pytest.raises(ScaleError, match="image_scale"):
            open_image(section({**linked, "image_scale": scale}))
    with pytest.raises(ScaleError, match=r"\['mpp'\].*352"):
        open_image(section({**linked, "mpp": 352.8}))
    adata = section({})
    del adata.uns["spatial"]["A1"]["scalefactors"]
    with pytest.raises(ScaleError, match="tissue_hires_scalef"):
        open_image(adata)
