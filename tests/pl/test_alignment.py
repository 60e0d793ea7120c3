"""The figure of a section's registration shows what was stored, and nothing else is needed."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import histoscribe as hs
from histoscribe._errors import MissingError
from histoscribe.pl import alignment

from ..toys import cached_toy

NAMES = ["as linked", "mirrored left to right", "positions too small"]


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def section(name: str = "s1", **entry: Any) -> AnnData:
    """Nine spots, and a registration as it is stored."""
    adata = AnnData(np.ones((9, 1), dtype=np.float32))
    adata.obsm["spatial"] = np.stack(np.meshgrid([20, 40, 60], [20, 40, 60]), axis=-1).reshape(-1, 2).astype(float)
    adata.obs["on_tissue"] = np.arange(9) < 6
    pixels = np.full((80, 80, 3), 240, dtype=np.uint8)
    adata.uns["spatial"] = {
        name: {
            "images": {"hires": pixels},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 10.0},
            "metadata": {"mpp": 5.0, "image_scale": 1.0},
        }
    }
    offsets = np.linspace(-300, 300, 5)
    score = np.zeros((5, 5))
    score[1, 3] = 0.4
    stored: dict[str, Any] = {
        "check": np.array(["shift", "verdict"], dtype=object),
        "found": np.array(["x", "image and spots do not fit: shift"], dtype=object),
        "ok": np.array(["no", "no"], dtype=object),
        "matrix": np.eye(3),
        "unit": "um",
        "shift": {"offset": offsets, "score": score, "best": np.array([150.0, -150.0])},
        "placement": {"name": np.array(NAMES, dtype=object), "score": np.array([0.1, 0.5, 0.2])},
    }
    adata.uns["registration"] = {name: {k: v for k, v in (stored | entry).items() if v is not None}}
    return adata


def panels(figure: Figure) -> list[Axes]:
    """Axes of the panels, row by row, without colour bars."""
    axes = [ax for ax in figure.axes if ax.get_label() != "<colorbar>"]
    return sorted(axes, key=lambda ax: (-round(ax.get_position().y0, 3), ax.get_position().x0))


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts if text.get_text()]


def test_panels_show_tissue_displacement_and_placements() -> None:
    tissue, shift, placements = panels(alignment(section()))
    assert tissue.get_title().replace("\n", " ") == "s1: image and spots do not fit: shift"
    colours = [to_hex(tuple(c)) for c in np.asarray(tissue.collections[0].get_facecolor())]
    assert len(set(colours[:6])) == len(set(colours[6:])) == 1
    assert colours[0] != colours[6]
    np.testing.assert_array_equal(np.unravel_index(np.asarray(shift.images[0].get_array()).argmax(), (5, 5)), (1, 3))
    zero, best = shift.lines
    np.testing.assert_array_equal(zero.get_xydata(), [[0, 0]])
    np.testing.assert_array_equal(best.get_xydata(), [[150, -150]])
    assert shift.get_xlabel() == "x, µm"
    assert texts(placements) == NAMES
    widths = [bar.get_width() for bar in placements.patches if isinstance(bar, Rectangle)]
    np.testing.assert_allclose(widths, [0.1, 0.5, 0.2])
    shades = [to_hex(bar.get_facecolor()) for bar in placements.patches]
    assert shades[0] == shades[2] != shades[1]


def test_the_shift_map_has_the_axes_of_the_image() -> None:
    _, shift, _ = panels(alignment(section()))
    left, right, bottom, top = shift.images[0].get_extent()
    assert left < right
    assert bottom > top  # y down, as in the image
    assert (left, top) == (-375, -375)  # pixels of the map are centred on their offsets


def test_a_map_of_noise_marks_no_best_place() -> None:
    weak = {"offset": np.linspace(-1, 1, 3), "score": np.full((3, 3), 0.01), "best": np.array([1.0, 1.0])}
    _, shift, _ = panels(alignment(section(shift=weak)))
    assert len(shift.lines) == 1


def test_outline_has_a_panel_where_some_section_has_one() -> None:
    outline = {"offset": np.linspace(-1, 1, 3), "score": np.eye(3), "best": np.zeros(2)}
    figure = alignment([section("a", outline=outline), section("b", shift=None, placement=None)])
    shown = panels(figure)
    assert len(shown) == 8
    assert [ax.get_title() for ax in shown[1:4]] == [
        "Displaced spots: expression",
        "Displaced spots: outline",
        "Other placements",
    ]
    assert [texts(ax) for ax in shown[5:]] == [["not known"]] * 3


def test_nothing_is_written_and_no_image_is_needed() -> None:
    adata = section()
    adata.uns["spatial"]["s1"]["images"] = {}
    before = set(adata.uns), set(adata.obs), set(adata.obsm)
    alignment(adata)
    alignment(section(), image=False)
    assert (set(adata.uns), set(adata.obs), set(adata.obsm)) == before


def test_what_is_missing_is_named() -> None:
    adata = section()
    adata.uns["registration"] = {"other": {}}
    with pytest.raises(MissingError, match=r"uns\['registration'\]\['s1'\].*check_registration"):
        alignment(adata)
    del adata.uns["registration"]
    with pytest.raises(MissingError, match=r"hs\.pp\.check_registration"):
        alignment(adata)


def test_a_checked_section_can_be_drawn() -> None:
    adata = cached_toy(n_spots=150, n_genes=200)
    hs.pp.check_registration(adata)
    tissue, shift, placements = panels(alignment(adata))
    assert "fit" in tissue.get_title()
    assert shift.images
    assert len(placements.patches) == 10
