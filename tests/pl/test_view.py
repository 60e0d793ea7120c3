"""Tiles of bare slides, stray spots and margins, as they are drawn."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection, PolyCollection
from numpy.typing import NDArray

from histoscribe.pl import panels, spatial

SIDE, WIDTH, HEIGHT = 50.0, 600, 500  # px


def section(*, image: bool = True, margin: float = 3 * SIDE) -> AnnData:
    """Make 6 x 4 spots, 50 px apart, in the middle of an image."""
    x, y = (v.ravel() for v in np.meshgrid(margin + SIDE * np.arange(6), margin + SIDE * np.arange(4)))
    obs = pd.DataFrame({"value": np.arange(24.0)}, index=[f"s{i}" for i in range(24)])
    adata = AnnData(obs=obs)
    adata.obsm["spatial"] = np.column_stack([x, y])
    adata.uns["spatial"] = {
        "s": {
            "images": {"hires": np.full((HEIGHT, WIDTH, 3), 200, dtype=np.uint8)} if image else {},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 25.0},
            "metadata": {"mpp": 2.0},
        }
    }
    return adata


def tiled(**kwargs: Any) -> AnnData:
    """Make the same section of tiles side by side, as hs.io.tile_slide does."""
    adata = section(**kwargs)
    adata.uns["spatial"]["s"]["scalefactors"]["spot_diameter_fullres"] = SIDE
    adata.obsm["tiles"] = np.hstack([adata.obsm["spatial"] - SIDE / 2, np.full((24, 2), SIDE)])
    adata.obs["tissue_fraction"] = np.linspace(0.25, 1, 24, dtype=np.float32)
    return adata


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def drawn(*args: Any, **kwargs: Any) -> tuple[Axes, Any]:
    ax = spatial(*args, **kwargs)
    assert isinstance(ax, Axes)
    (shapes,) = ax.collections
    return ax, shapes


def shown(adata: AnnData, **kwargs: Any) -> NDArray[np.float64]:
    ax, _ = drawn(adata, "value", **kwargs)
    (x0, x1), (y1, y0) = ax.get_xlim(), ax.get_ylim()
    return np.array([x0, y0, x1, y1])


def test_tiles_are_squares_of_their_size_and_let_the_tissue_show() -> None:
    adata = tiled()
    ax, squares = drawn(adata, "tissue_fraction")
    assert isinstance(squares, PolyCollection)
    for path, (x, y, w, h) in zip(squares.get_paths(), adata.obsm["tiles"], strict=True):
        np.testing.assert_allclose(path.get_extents().extents, [x, y, x + w, y + h])
    assert squares.get_alpha() == 0.6
    ax.figure.canvas.draw()
    middle = np.asarray(squares.get_array())
    np.testing.assert_array_equal(middle, adata.obs["tissue_fraction"])


def test_opaque_is_the_default_where_no_tissue_would_be_hidden_and_a_wish_always_holds() -> None:
    assert drawn(tiled(), "value", image=False)[1].get_alpha() == 1
    assert drawn(section(), "value")[1].get_alpha() == 1
    assert isinstance(drawn(section(), "value")[1], EllipseCollection)
    assert drawn(tiled(), "value", alpha=0.9)[1].get_alpha() == 0.9
    assert drawn(section(), "value", alpha=0.3)[1].get_alpha() == 0.3
    assert panels(tiled(), "value").axes[1].collections[0].get_alpha() == 0.6


def test_spots_with_tiles_around_them_stay_discs() -> None:
    adata = tiled()
    del adata.obs["tissue_fraction"]
    assert isinstance(drawn(adata, "value")[1], EllipseCollection)
    adata.obs["tissue_fraction"] = np.nan  # as where a slide and a section are joined
    assert isinstance(drawn(adata, "value")[1], EllipseCollection)


def test_spots_whose_tissue_was_measured_stay_discs_and_a_slides_tiles_squares() -> None:
    adata = tiled()
    adata.uns["histoscribe"] = {"obs.tissue_fraction": {"by": "pp.tissue_mask"}}
    assert isinstance(drawn(adata, "value")[1], EllipseCollection)
    adata.uns["histoscribe"]["obsm.spatial"] = {"by": "io.tile_slide"}
    assert isinstance(drawn(adata, "value")[1], PolyCollection)


def test_size_scales_tiles_and_their_side_is_known_without_uns() -> None:
    adata = tiled()
    del adata.uns["spatial"]
    adata = adata[::2].copy()  # every other column: the pitch is not the side
    extents = [path.get_extents() for path in drawn(adata, "value", size=0.5)[1].get_paths()]
    np.testing.assert_allclose([(box.width, box.height) for box in extents], SIDE / 2)


def test_the_view_reaches_beyond_the_spots_but_not_beyond_the_image() -> None:
    spots = np.array([150, 150, 400, 300])
    reach = 12.5 + 1.75 * SIDE
    np.testing.assert_allclose(shown(section()), spots + reach * np.array([-1, -1, 1, 1]))
    np.testing.assert_allclose(shown(section(margin=30)), [0, 0, 280 + reach, 180 + reach])
    blank = 12.5 + 0.5 * SIDE
    np.testing.assert_allclose(shown(section(image=False)), spots + blank * np.array([-1, -1, 1, 1]))


@pytest.mark.parametrize("image", [True, False])
def test_strays_far_outside_the_image_do_not_shrink_the_section(image: bool, caplog: pytest.LogCaptureFixture) -> None:
    adata = section()
    whole = shown(adata)
    adata.obsm["spatial"][[0, 7]] = [[9e4, 100], [-7e3, -8e3]]
    ax, shapes = drawn(adata, "value", image=image)
    np.testing.assert_allclose([*ax.get_xlim(), *ax.get_ylim()], whole[[0, 2, 3, 1]])
    np.testing.assert_array_equal(np.asarray(shapes.get_array()), np.delete(np.arange(24.0), [0, 7]))
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("s: 2 spots lie outside the image")


def test_without_an_image_there_is_nothing_to_stray_from(caplog: pytest.LogCaptureFixture) -> None:
    adata = section(image=False)
    adata.obsm["spatial"][0] = [9e4, 100]
    assert shown(adata)[2] > 9e4
    assert not caplog.records


def test_a_crop_shows_strays() -> None:
    adata = section()
    adata.obsm["spatial"][0] = [9e4, 100]
    _, shapes = drawn(adata, "value", crop=(179_000, 0, 181_000, 400))
    assert np.asarray(shapes.get_array()).tolist() == [0]


def test_an_image_that_cannot_be_read_is_no_image() -> None:
    adata = section(image=False)
    adata.uns["spatial"]["s"]["metadata"]["source_image_path"] = "gone.tif"
    np.testing.assert_allclose(shown(adata), shown(section(image=False)))


def test_the_small_image_has_a_border_too() -> None:
    adata = section(margin=30)
    entry = adata.uns["spatial"]["s"]
    entry["images"] = {"lowres": entry["images"]["hires"][::5, ::5]}
    entry["scalefactors"]["tissue_lowres_scalef"] = 0.2
    np.testing.assert_allclose(shown(adata)[:2], 0)
