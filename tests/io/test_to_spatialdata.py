"""AnnData to SpatialData and back: the same positions, the same tiles, the same pixels."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from histoscribe._errors import OptionError
from histoscribe.io import _link, from_spatialdata, open_image, to_spatialdata

sd = pytest.importorskip("spatialdata")

pytestmark = pytest.mark.filterwarnings("ignore")  # what spatialdata, dask and zarr raise among themselves


def painted(n: int = 30, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Image with a dot of its own colour at each of n pixel positions."""
    rng = np.random.default_rng(seed)
    column, row = np.divmod(np.arange(n), 6)
    xy = np.column_stack([column, row]) * 30 + 25 + rng.uniform(-5, 5, (n, 2))
    pixels = np.full((220, 200, 3), 240, dtype=np.uint8)
    y, x = np.mgrid[:220, :200] + 0.5
    for k, (cx, cy) in enumerate(xy):
        pixels[np.hypot(x - cx, y - cy) < 4] = (k + 1, 200, 90)
    return pixels, xy


def assert_on_their_pixels(adata: ad.AnnData, library_id: str | None = None) -> None:
    rows = slice(None) if library_id is None else adata.obs["library_id"] == library_id
    with open_image(adata, library_id=library_id) as image:
        for (x, y), k in zip(adata.obsm["spatial"][rows], adata.obs["k"][rows], strict=True):
            assert image.read(np.floor(x), np.floor(y), 1, 1)[0, 0].tolist() == [k, 200, 90]


def section(name: str, seed: int, *, scale: float = 1.0) -> ad.AnnData:
    pixels, xy = painted(seed=seed)
    described = _link.entry(pixels, xy / scale, mpp=0.5 * scale, scale=scale, spot_diameter=8.0 / scale)
    adata = ad.AnnData(np.ones((30, 3), dtype=np.float32), obs=pd.DataFrame(index=[f"{name}{k}" for k in range(30)]))
    adata.obsm["spatial"] = xy / scale
    adata.obsm["tiles"] = np.hstack([xy / scale - 5, np.full((30, 2), 10.0)])
    adata.obs["k"], adata.obs["library_id"] = np.arange(30) + 1, pd.Categorical([name] * 30)
    adata.uns["spatial"] = {name: described}
    return adata


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_there_and_back(scale: float, tmp_path: Path) -> None:
    adata = section("my section+1", 0, scale=scale)
    before = adata.copy()
    sdata = to_spatialdata(adata)
    assert set(sdata.images) == {"my_section_1_image"}
    sdata.write(tmp_path / "s.zarr")
    for again in (sdata, sd.read_zarr(tmp_path / "s.zarr")):
        back = from_spatialdata(again)
        np.testing.assert_allclose(back.obsm["spatial"], adata.obsm["spatial"], atol=1e-9)
        np.testing.assert_array_equal(back.obsm["tiles"], adata.obsm["tiles"])
        metadata = back.uns["spatial"]["my section+1"]["metadata"]
        assert metadata["mpp"] == 0.5 * scale
        assert metadata["image_scale"] == scale
        if scale == 1:
            assert_on_their_pixels(back)
    assert list(adata.obs) == list(before.obs)
    assert adata.uns.keys() == before.uns.keys()


def test_several_sections_there_and_back() -> None:
    adata = ad.concat([section("S1", 0), section("S2", 3)], uns_merge="unique")
    adata.obs["library_id"] = adata.obs["library_id"].astype("category")
    sdata = to_spatialdata(adata)
    assert set(sdata.coordinate_systems) == {"S1", "S2"}
    back = from_spatialdata(sdata)
    np.testing.assert_allclose(back.obsm["spatial"], adata.obsm["spatial"])
    assert (back.obs["library_id"] == adata.obs["library_id"]).all()
    for name in ("S1", "S2"):
        assert_on_their_pixels(back, name)


def test_a_linked_file_is_read_lazily(tmp_path: Path) -> None:
    pixels, xy = painted()
    Image.fromarray(pixels).save(tmp_path / "he.png")
    adata = section("S1", 0)
    adata.uns["spatial"] = {"S1": _link.entry(tmp_path / "he.png", xy, mpp=0.5)}
    image = to_spatialdata(adata)["S1_image"]
    np.testing.assert_array_equal(np.asarray(image).transpose(1, 2, 0), pixels)
    np.testing.assert_array_equal(np.asarray(image[:, 50:90, 20:70]).transpose(1, 2, 0), pixels[50:90, 20:70])


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda a: a.obsm["spatial"].__setitem__((3, 0), np.nan), "1 spots without a position"),
        (lambda a: setattr(a, "obs_names", ["x"] * 30), "obs_names_make_unique"),
    ],
)
def test_what_spatialdata_cannot_hold(harm: Any, message: str) -> None:
    adata = section("S1", 0)
    harm(adata)
    with pytest.raises(OptionError, match=message):
        to_spatialdata(adata)


def test_sections_without_an_image() -> None:
    adata = section("S1", 0)
    adata.uns["spatial"] = {"S1": _link.entry(None, adata.obsm["spatial"], mpp=0.5, spot_diameter=8)}
    sdata = to_spatialdata(adata)
    assert not list(sdata.images)
    assert len(sdata["S1_spots"]) == 30


def test_a_list_and_the_wrong_way_round() -> None:
    one, two = section("a", 0), section("b", 1)
    with pytest.raises(OptionError, match=r"a list of 2; expected one AnnData.*anndata.concat"):
        to_spatialdata([one, two])
    with pytest.raises(OptionError, match=r"sdata: found an AnnData.*pass it on as it is"):
        from_spatialdata(one)
    with pytest.raises(OptionError, match="from_spatialdata"):
        to_spatialdata(to_spatialdata(one))
