"""SpatialData: every row finds its own pixels, through whatever coordinate systems lie between."""

import logging
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from histoscribe import settings
from histoscribe._errors import ImageError, MissingError, OptionError, ScaleError
from histoscribe._keys import Keys
from histoscribe.io import _link, from_spatialdata, open_image

sd = pytest.importorskip("spatialdata")
models = sd.models
transformations = sd.transformations

pytestmark = pytest.mark.filterwarnings("ignore")  # what spatialdata, dask and zarr raise among themselves

ANGLE = 0.4
ROTATED = np.array([[np.cos(ANGLE), -np.sin(ANGLE), 900.0], [np.sin(ANGLE), np.cos(ANGLE), -50.0], [0, 0, 1]])
SHEARED = np.array([[2.0, 0.3, 10.0], [0.1, 1.5, -7.0], [0, 0, 1]])


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


def affine(matrix: NDArray[np.float64]) -> Any:
    return transformations.Affine(matrix, input_axes=("x", "y"), output_axes=("x", "y"))


def moved(xy: NDArray[np.float64], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.column_stack([xy, np.ones(len(xy))]) @ matrix[:2].T


def build(
    *,
    image_map: NDArray[np.float64] = ROTATED,
    element_map: NDArray[np.float64] = SHEARED,
    multiscale: bool = False,
    system: str = "aligned",
    seed: int = 0,
    prefix: str = "",
) -> Any:
    """A SpatialData whose table lists the circles in another order, and knows which is which."""
    pixels, xy = painted(seed=seed)
    image = models.Image2DModel.parse(
        pixels.transpose(2, 0, 1),
        dims=("c", "y", "x"),
        c_coords=["r", "g", "b"],
        transformations={system: affine(image_map)},
        scale_factors=[2] if multiscale else None,
    )
    intrinsic = moved(moved(xy, image_map), np.linalg.inv(element_map).astype(np.float64))
    index = [f"c{k}" for k in range(len(xy))]
    circles = models.ShapesModel.parse(
        intrinsic, geometry=0, radius=2.0, index=index, transformations={system: affine(element_map)}
    )
    order = np.random.default_rng(seed + 1).permutation(len(xy))
    obs = pd.DataFrame({"k": order + 1, "where": pd.Categorical([f"{prefix}circles"] * len(xy))})
    obs["id"] = [index[k] for k in order]
    table = ad.AnnData(np.ones((len(xy), 3), dtype=np.float32), obs=obs.set_axis([f"row{k}" for k in order]))
    table = models.TableModel.parse(table, region=f"{prefix}circles", region_key="where", instance_key="id")
    return sd.SpatialData(
        images={f"{prefix}he": image}, shapes={f"{prefix}circles": circles}, tables={f"{prefix}table": table}
    )


def assert_on_their_pixels(adata: ad.AnnData, library_id: str | None = None) -> None:
    rows = slice(None) if library_id is None else adata.obs["library_id"] == library_id
    with open_image(adata, library_id=library_id) as image:
        for (x, y), k in zip(adata.obsm["spatial"][rows], adata.obs["k"][rows], strict=True):
            assert image.read(np.floor(x), np.floor(y), 1, 1)[0, 0].tolist() == [k, 200, 90]


@pytest.mark.parametrize("multiscale", [False, True])
@pytest.mark.parametrize("image_map", [np.eye(3), ROTATED, SHEARED, np.diag([-1.0, 1.0, 1.0])])
def test_painted_spots_are_found_under_their_positions(multiscale: bool, image_map: NDArray[np.float64]) -> None:
    sdata = build(image_map=image_map, multiscale=multiscale)
    adata = from_spatialdata(sdata, mpp=0.5)
    assert_on_their_pixels(adata)
    np.testing.assert_allclose(adata.obsm["spatial"], painted()[1][adata.obs["k"] - 1], atol=1e-6)


def test_it_is_the_table_itself(caplog: pytest.LogCaptureFixture) -> None:
    sdata = build()
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        adata = from_spatialdata(sdata, mpp=0.5)
    assert adata is sdata["table"]
    assert "circles lies on image he through coordinate system aligned" in caplog.text
    adata.obsm["later"] = np.zeros((adata.n_obs, 2))
    assert "later" in sdata["table"].obsm
    assert adata.uns[Keys.RECORD]["obsm.spatial"]["by"] == "io.from_spatialdata"
    metadata = adata.uns["spatial"]["circles"]["metadata"]
    assert metadata["mpp"] == 0.5
    stretch = np.sqrt(np.linalg.det(SHEARED[:2, :2]))
    diameter = adata.uns["spatial"]["circles"]["scalefactors"]["spot_diameter_fullres"]
    assert diameter == pytest.approx(4 * stretch)


def test_the_scale_is_not_guessed_and_not_forgotten() -> None:
    sdata = build()
    adata = from_spatialdata(sdata)
    assert "mpp" not in adata.uns["spatial"]["circles"]["metadata"]
    from_spatialdata(sdata, mpp=0.5)
    from_spatialdata(sdata)  # the cell run again
    assert adata.uns["spatial"]["circles"]["metadata"]["mpp"] == 0.5
    other = affine(np.diag([2.0, 2.0, 1.0]) @ ROTATED)
    transformations.set_transformation(sdata["he"], other, to_coordinate_system="aligned")
    with pytest.raises(ImageError, match="inside the image"):
        from_spatialdata(sdata)
    sdata["he"].attrs["transform"]["aligned"] = affine(ROTATED @ np.diag([0.9, 0.9, 1.0]))
    from_spatialdata(sdata)  # another frame: the old scale no longer holds
    assert "mpp" not in adata.uns["spatial"]["circles"]["metadata"]


def test_moved_positions_leave_a_warning_about_tiles(caplog: pytest.LogCaptureFixture) -> None:
    sdata = build()
    adata = from_spatialdata(sdata, mpp=0.5)
    adata.obsm["tiles"] = np.hstack([adata.obsm["spatial"] - 5, np.full((adata.n_obs, 2), 10.0)])
    from_spatialdata(sdata)
    assert "hs.pp.tile" not in caplog.text
    sdata["he"].attrs["transform"]["aligned"] = affine(ROTATED @ np.diag([0.9, 0.9, 1.0]))
    from_spatialdata(sdata)
    assert "hs.pp.tile" in caplog.text


def test_several_regions_are_several_sections() -> None:
    one, two = build(seed=0, prefix="a_", system="s1"), build(seed=5, prefix="b_", system="s2", image_map=np.eye(3))
    table = ad.concat([one["a_table"], two["b_table"]], index_unique="-")
    table = models.TableModel.parse(
        table, region=["a_circles", "b_circles"], region_key="where", instance_key="id", overwrite_metadata=True
    )[np.random.default_rng(0).permutation(60)].copy()
    both = sd.SpatialData(
        images={"a_he": one["a_he"], "b_he": two["b_he"]},
        shapes={"a_circles": one["a_circles"], "b_circles": two["b_circles"]},
        tables={"table": table},
    )
    adata = from_spatialdata(both, mpp=0.5)
    assert set(adata.obs["library_id"].cat.categories) == {"a_circles", "b_circles"}
    for library_id in ("a_circles", "b_circles"):
        assert_on_their_pixels(adata, library_id)


@pytest.mark.weekly
def test_blobs_annotate_labels() -> None:
    sdata = sd.datasets.blobs(length=128, n_channels=3)
    with pytest.raises(OptionError, match=r"'blobs_image', 'blobs_multiscale_image'.*alike.*Pass image_key="):
        from_spatialdata(sdata)
    adata = from_spatialdata(sdata, image_key="blobs_image")
    labels = np.asarray(sdata["blobs_labels"])
    for (x, y), label in zip(adata.obsm["spatial"], adata.obs["instance_id"], strict=True):
        rows, columns = np.nonzero(labels == label)
        assert (x, y) == (pytest.approx(columns.mean() + 0.5), pytest.approx(rows.mean() + 0.5))
    with open_image(adata) as image:
        expected = np.moveaxis(np.asarray(sdata["blobs_image"]), 0, -1) * 255
        np.testing.assert_allclose(image.read(0, 0, 128, 128), expected, atol=0.51)


def test_the_finest_rgb_image_is_taken() -> None:
    sdata = build()
    pixels, _ = painted()
    coarse = models.Image2DModel.parse(
        pixels[::2, ::2].transpose(2, 0, 1),
        dims=("c", "y", "x"),
        transformations={"aligned": affine(ROTATED @ np.diag([2.0, 2.0, 1.0]))},
    )
    fine_grey = models.Image2DModel.parse(
        np.repeat(np.repeat(pixels[..., :1], 2, 0), 2, 1).transpose(2, 0, 1),
        dims=("c", "y", "x"),
        transformations={"aligned": affine(ROTATED @ np.diag([0.5, 0.5, 1.0]))},
    )
    sdata["coarse"], sdata["dapi"] = coarse, fine_grey
    assert_on_their_pixels(from_spatialdata(sdata))
    adata = from_spatialdata(sdata, image_key="coarse")
    np.testing.assert_allclose(adata.obsm["spatial"], painted()[1][adata.obs["k"] - 1] / 2, atol=1e-6)


def test_a_large_image_goes_into_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_link, "_IN_MEMORY_PX", 10_000)
    sdata = build()
    adata = from_spatialdata(sdata, mpp=0.5)
    path = Path(adata.uns["spatial"]["circles"]["metadata"]["source_image_path"])
    assert path.is_relative_to(settings.cache_dir)
    assert_on_their_pixels(adata)
    with open_image(path) as image:
        assert image.mpp == pytest.approx(0.5)
    written = path.stat().st_mtime_ns
    from_spatialdata(sdata, mpp=0.5)
    assert path.stat().st_mtime_ns == written
    assert len(list(path.parent.iterdir())) == 1


def _drop(sdata: Any) -> None:
    del sdata.shapes["circles"]


def _rename_instance(sdata: Any) -> None:
    sdata["table"].obs["id"] = ["elsewhere", *sdata["table"].obs["id"][1:]]


def _integer_instances(sdata: Any) -> None:
    sdata["table"].obs["id"] = np.arange(sdata["table"].n_obs)


def _other_system(sdata: Any) -> None:
    sdata["he"].attrs["transform"] = {"elsewhere": affine(np.eye(3))}


def _nan(sdata: Any) -> None:
    from shapely import Point

    sdata["circles"].geometry = [Point(np.nan, np.nan), *sdata["circles"].geometry[1:]]


def _no_annotation(sdata: Any) -> None:
    del sdata["table"].uns["spatialdata_attrs"]


def _contradiction(sdata: Any) -> None:
    sdata["he"].attrs["transform"]["second"] = affine(np.eye(3))
    sdata["circles"].attrs["transform"]["second"] = affine(np.eye(3))


def _singular(sdata: Any) -> None:
    sdata["he"].attrs["transform"]["aligned"] = affine(np.diag([0.0, 1.0, 1.0]))


def _cut_across(sdata: Any) -> None:
    sdata["table"].obs["library_id"] = ["one"] * 10 + ["two"] * 20


@pytest.mark.parametrize(
    ("harm", "error", "message"),
    [
        (_drop, MissingError, r"only \['he'\]; expected the annotated \['circles'\]"),
        (_rename_instance, MissingError, "1 of 30 not in the element"),
        (_integer_instances, OptionError, "int64 in the table, object in the element|expected one type"),
        (_other_system, MissingError, r"'circles': \['aligned'\], 'he': \['elsewhere'\]"),
        (_nan, OptionError, "1 NaN"),
        (_no_annotation, MissingError, "TableModel.parse"),
        (_contradiction, OptionError, "the same place through each"),
        (_singular, OptionError, "no inverse"),
        (_cut_across, OptionError, "cut across the elements"),
    ],
)
def test_harmed_objects(harm: Any, error: type[Exception], message: str) -> None:
    sdata = build()
    harm(sdata)
    table = sdata["table"]
    keys = list(table.obsm), sorted(table.uns)
    with pytest.raises(error, match=message):
        from_spatialdata(sdata)
    assert keys == (list(table.obsm), sorted(table.uns))


def test_wrong_names() -> None:
    sdata = build()
    with pytest.raises(MissingError, match=r"only \['table'\]; expected 'cells'"):
        from_spatialdata(sdata, table_key="cells")
    with pytest.raises(MissingError, match=r"only \['he'\]; expected 'dapi'"):
        from_spatialdata(sdata, image_key="dapi")
    with pytest.raises(ScaleError, match="mpp"):
        from_spatialdata(sdata, mpp=0.0)
