"""The palette, and who gets which colour."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib.colors import to_rgb
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from histoscribe.pl._colors import NO_VALUE, PALETTE, category_colors, keep_colors
from histoscribe.pl._lookup import Variable, lookup

# Machado, Oliveira and Fernandes 2009, severity 1
VISION = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deutan": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
}


def seen(color: str, vision: str) -> NDArray[np.float64]:
    rgb = np.array(to_rgb(color))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ VISION[vision].T
    back = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.clip(linear, 0, None) ** (1 / 2.4) - 0.055)
    lab: NDArray[np.float64] = rgb2lab(np.clip(back, 0, 1))
    return lab


@pytest.mark.parametrize("vision", VISION)
def test_any_two_colours_can_be_told_apart(vision: str) -> None:
    labs = [seen(color, vision) for color in (*PALETTE, NO_VALUE)]
    assert min(float(deltaE_ciede2000(a, b)) for a, b in combinations(labs, 2)) > 9


def variable(*columns: list[str]) -> tuple[list[AnnData], Variable]:
    values = [pd.Categorical(column) for column in columns]
    adatas = [AnnData(obs=pd.DataFrame({"x": value}, index=[f"s{i}" for i in range(len(value))])) for value in values]
    return adatas, Variable("x", "obs:x", "", values)


def test_a_colour_once_kept_stays_when_sections_are_joined() -> None:
    adatas, both = variable(["b", "c"], ["a", "b"])
    adatas[1].uns["x_colors"] = ["#111111", PALETTE[0]]
    colors = category_colors(adatas, both, None)
    assert colors == {"b": PALETTE[0], "c": PALETTE[1], "a": "#111111"}
    keep_colors(adatas, both, colors, replace=False)
    assert adatas[0].uns["x_colors"] == [PALETTE[0], PALETTE[1]]


def test_the_first_section_decides_where_kept_colours_differ() -> None:
    adatas, both = variable(["a"], ["a"])
    adatas[0].uns["x_colors"], adatas[1].uns["x_colors"] = ["#111111"], ["#222222"]
    assert category_colors(adatas, both, None) == {"a": "#111111"}


def test_a_short_list_repeats_and_a_dictionary_may_leave_some_out() -> None:
    adatas, one = variable(["a", "b", "c"])
    assert list(category_colors(adatas, one, ["red", "blue"]).values()) == ["#FF0000", "#0000FF", "#FF0000"]
    assert category_colors(adatas, one, {"b": PALETTE[0]}) == {"a": PALETTE[1], "b": PALETTE[0], "c": PALETTE[2]}


def test_colours_of_truth_values_are_not_kept() -> None:
    adata = AnnData(obs=pd.DataFrame({"x": [True, False]}, index=["a", "b"]))
    found = lookup([adata], "x")
    colors = category_colors([adata], found, None)
    assert list(colors) == ["False", "True"]
    keep_colors([adata], found, colors, replace=True)
    assert not adata.uns
