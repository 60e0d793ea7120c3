"""Pictures of attributions."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from histoscribe._attribution import Attribution
from histoscribe._errors import OptionError
from histoscribe.pl import attribution

from ..marks import weekly


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def _made(n: int = 40, **changes: Any) -> Attribution:
    rng = np.random.default_rng(0)
    genes = pd.Series(rng.normal(size=n), index=pd.Index([f"GENE{k}" for k in range(n)], name="gene"))
    genes = genes.sort_values(key=np.abs, ascending=False)
    made = Attribution(
        spot="AAC-1",
        section="S1",
        cosine=0.25,
        method="occlusion",
        tile=rng.integers(0, 255, (32, 32, 3), dtype=np.uint8),
        pixels=rng.normal(size=(4, 4)) + 0.3,
        genes=genes,
        pixels_random=10 * rng.normal(size=(4, 4)),
        genes_random=-genes,
        agreement_with_random={"pixels": 0.125, "genes": float("nan")},
    )
    return replace(made, **changes)


def _panels(figure: Figure) -> list[Any]:
    return [figure.axes[k] for k in range(4)]


def _boxes(axes: list[Any]) -> list[Any]:
    return [ax.get_tightbbox() for ax in axes]


def test_tile_maps_and_genes_stand_side_by_side() -> None:
    made = _made()
    figure = attribution(made, n_genes=6)
    tile, own, random, bars = _panels(figure)
    np.testing.assert_array_equal(tile.images[0].get_array(), made.tile)
    np.testing.assert_array_equal(own.images[1].get_array(), made.pixels)
    np.testing.assert_array_equal(random.images[1].get_array(), made.pixels_random)
    assert [label.get_text() for label in bars.get_yticklabels()] == list(made.genes.index[:6])
    assert [patch.get_width() for patch in bars.patches] == pytest.approx(list(made.genes[:6]))
    assert [ax.get_title() for ax in (tile, own, random)] == [
        "tile",
        "squares, by occlusion",
        "random weights (ρ = 0.12)",
    ]
    assert bars.get_title(loc="right") == "6 of 40 genes (ρ = undefined)"
    assert figure.get_suptitle() == "spot AAC-1 of S1: cosine of image and genes 0.25"


def test_colours_are_symmetric_around_zero_for_each_map() -> None:
    made = _made()
    _, own, random, bars = _panels(attribution(made))
    for ax, values in ((own, made.pixels), (random, made.pixels_random)):
        largest = np.abs(values).max()
        assert ax.images[1].get_clim() == pytest.approx((-largest, largest))
        opacity = ax.images[1].get_alpha()
        assert np.unravel_index(opacity.argmax(), values.shape) == np.unravel_index(
            np.abs(values).argmax(), values.shape
        )
        assert ax.images[1].get_extent() == [-0.5, 31.5, 31.5, -0.5]
    red, blue = (next(p.get_facecolor() for p in bars.patches if (p.get_width() > 0) == sign) for sign in (True, False))
    assert red[0] > red[2]
    assert blue[2] > blue[0]


@pytest.mark.parametrize("n_genes", [15, *weekly(1, 40, 100)])
def test_nothing_overlaps_or_is_cut(n_genes: int) -> None:
    names = pd.Index([f"a gene with a name that is long {k} $x_1$" for k in range(60)], name="column of X_genes")
    values = pd.Series(np.linspace(1, 0.1, 60), index=names)
    figure = attribution(_made(genes=values, genes_random=values), n_genes=n_genes)
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    boxes, keys = _boxes(figure.axes[:4]), _boxes(figure.axes[4:6])
    for box in boxes:
        assert 0 <= box.x0 < box.x1 <= width
        assert 0 <= box.y0 < box.y1 <= height
    for left, right in pairwise(boxes):
        assert left.x1 <= right.x0 + 1
    labels = [label.get_window_extent() for label in figure.axes[3].get_yticklabels()]
    assert all(above.y0 >= below.y1 - 2 for above, below in pairwise(labels))
    assert keys[0].x1 <= boxes[2].x0
    assert keys[1].x1 <= boxes[3].x0


def test_maps_and_genes_of_nothing_are_drawn() -> None:
    flat = np.zeros((4, 4))
    none = pd.Series([], index=pd.Index([], name="gene", dtype=object), dtype=float)
    figure = attribution(_made(pixels=flat, pixels_random=flat, genes=none, genes_random=none))
    figure.canvas.draw()
    assert figure.axes[1].images[1].get_clim() == (-1, 1)


@pytest.mark.parametrize("n_genes", [0, -1, 1.5, True])
def test_wrong_numbers_of_genes_are_refused(n_genes: Any) -> None:
    with pytest.raises(OptionError, match="n_genes"):
        attribution(_made(), n_genes=n_genes)
    assert plt.get_fignums() == []


def test_what_is_no_attribution_is_refused() -> None:
    with pytest.raises(OptionError, match="attribution: found dict"):
        attribution({"pixels": 1})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cosine": float("nan")}, "cosine"),
        ({"method": "lime"}, "method"),
        ({"tile": np.zeros((3, 3))}, "tile"),
        ({"pixels": np.zeros(4)}, "pixels"),
        ({"pixels_random": np.zeros((3, 3))}, "pixels_random"),
        ({"genes_random": pd.Series([1.0])}, "genes_random"),
    ],
)
def test_attributions_that_do_not_hold_together_are_refused(changes: Any, says: str) -> None:
    with pytest.raises(OptionError, match=f"Attribution.{says}: found"):
        _made(**changes)
