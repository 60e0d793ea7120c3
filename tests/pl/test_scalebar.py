"""Scale bars."""

import numpy as np
import pytest
from anndata import AnnData
from matplotlib.figure import Figure

from histoscribe.pl._scalebar import emptiest_corner, label, round_length, scale_bar
from histoscribe.pl._views import View


@pytest.mark.parametrize(
    ("most", "length"), [(1.0, 1), (1.99, 1), (2, 2), (4.9, 2), (7, 5), (99, 50), (100, 100), (1432, 1000), (0.3, 0.2)]
)
def test_lengths_are_round(most: float, length: float) -> None:
    assert round_length(most) == pytest.approx(length)


def test_every_length_is_one_two_or_five() -> None:
    for most in np.geomspace(0.01, 1e5, 200):
        length = round_length(most)
        assert most / 2.5001 <= length <= most * 1.0001
        assert f"{length:e}"[0] in "125"


@pytest.mark.parametrize(("um", "text"), [(50, "50 µm"), (1000, "1 mm"), (2000, "2 mm"), (500, "500 µm")])
def test_labels(um: float, text: str) -> None:
    assert label(um) == text


def view(xy: list[list[float]]) -> View:
    return View(AnnData(), 0, "s", np.arange(len(xy)), np.array(xy, dtype=float), 5, 0.5, (0, 0, 1000, 800))


def test_the_bar_is_as_long_as_it_says() -> None:
    ax = Figure().subplots()
    ax.set(xlim=(0, 1000), ylim=(800, 0))
    bar = scale_bar(ax, view([[500, 400]]), 0.5)  # 500 um wide
    (line,) = bar.size_bar.get_children()
    assert line.get_width() * 0.5 == 100
    assert bar.txt_label.get_text() == "100 µm"
    assert bar.patch.get_facecolor()[:3] == (1, 1, 1)


def test_the_bar_hides_the_fewest_spots() -> None:
    assert emptiest_corner(view([[500, 400]])) == "lower left"
    assert emptiest_corner(view([[50, 790]])) == "lower right"
    assert emptiest_corner(view([[50, 790], [950, 790]])) == "upper left"
    assert emptiest_corner(view([[50, 790], [950, 790], [50, 10]])) == "upper right"
