"""Example tiles."""

from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from histoscribe._errors import ImageError, MissingError, OptionError
from histoscribe.pl import spatial, tiles

SIDE = 20  # px


def section(name: str = "s1", *, n: int = 12, mpp: float | None = 2.0) -> AnnData:
    """Make tiles side by side, the k-th all of grey level 10 + k."""
    pixels = np.repeat(np.arange(10, 10 + n, dtype=np.uint8), SIDE)[None, :, None].repeat(SIDE, axis=0)
    obs = pd.DataFrame({"k": pd.Categorical(np.where(np.arange(n) % 3, "most", "few"))})
    adata = AnnData(obs=obs.set_index(pd.Index([f"{name}_{i}" for i in range(n)])))
    corners = np.column_stack([np.arange(n) * SIDE, np.zeros(n)])
    adata.obsm["spatial"] = corners + SIDE / 2
    adata.obsm["tiles"] = np.column_stack([corners, np.full((n, 2), SIDE)]).astype(float)
    adata.uns["spatial"] = {
        name: {
            "images": {"hires": pixels.repeat(3, axis=2)},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 10.0},
            "metadata": {} if mpp is None else {"mpp": mpp},
        }
    }
    return adata


pytestmark = pytest.mark.filterwarnings("ignore:.*images\\['hires'\\] is used:UserWarning")


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def shown(figure: Figure) -> list[list[int]]:
    """Grey levels less 10, that is rows of the AnnData, in each row of the figure."""
    rows: dict[float, list[int]] = {}
    for ax in figure.axes:
        levels = np.unique(np.asarray(ax.images[0].get_array())[20:-20, 20:-20])
        assert len(levels) == 1
        rows.setdefault(round(ax.get_position().y0, 6), []).append(int(levels[0]) - 10)
    return [rows[y] for y in sorted(rows, reverse=True)]


def labels(figure: Figure) -> list[str]:
    return [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()]


def test_each_category_has_a_row_of_its_own_tiles_in_its_colour() -> None:
    adata = section()
    figure = tiles(adata, groupby="k", n=3)
    few, most = shown(figure)
    assert len(few) == len(set(few)) == len(most) == 3
    assert all(row % 3 == 0 for row in few)
    assert all(row % 3 for row in most)
    assert labels(figure) == ["few\n(n = 4)", "most\n(n = 8)"]
    frames = [to_hex(ax.spines["left"].get_edgecolor()).upper() for ax in figure.axes]
    assert frames == [adata.uns["k_colors"][0]] * 3 + [adata.uns["k_colors"][1]] * 3


def test_frames_have_the_colours_of_the_map() -> None:
    adata = section()
    spatial(adata, "k", palette=["red", "lime"])
    figure = tiles(adata, groupby="k")
    assert {to_hex(ax.spines["left"].get_edgecolor()) for ax in figure.axes} == {"#ff0000", "#00ff00"}


def test_the_caption_says_how_large_tiles_are() -> None:
    assert tiles(section()).get_supxlabel() == "Each tile: 40 × 40 µm"
    assert tiles(section(mpp=None)).get_supxlabel() == "Each tile: 20 × 20 px"
    adata = section()
    adata.obsm["tiles"][0, 2:] = 30
    assert tiles(adata, n=12).get_supxlabel() == "Each tile: 40–60 × 40–60 µm"


def test_the_choice_is_random_and_repeatable() -> None:
    adata = section()
    assert shown(tiles(adata, n=5)) == shown(tiles(adata, n=5))
    assert shown(tiles(adata, n=5)) != shown(tiles(adata, n=5, random_state=1))
    assert sorted(chain(*shown(tiles(adata, n=50)))) == list(range(12))
    assert [len(row) for row in shown(tiles(adata, n=9))] == [6, 3]


def test_tiles_that_are_not_valid_are_not_shown() -> None:
    adata = section()
    adata.obs["tiles_valid"] = np.arange(12) < 5
    adata.obsm["tiles"][0] = np.nan
    assert sorted(chain(*shown(tiles(adata, n=12)))) == [1, 2, 3, 4]
    adata.obs["tiles_valid"] = False
    with pytest.raises(OptionError, match=r"obsm\['tiles'\]: found no tile"):
        tiles(adata)


def test_sections_share_rows_and_missing_categories_have_none() -> None:
    first, second = section("a"), section("b")
    second.obs["k"] = pd.Categorical(["new"] * 6 + [None] * 6, categories=["never", "new"])
    figure = tiles([first, second], groupby="k", n=20)
    assert labels(figure) == ["few\n(n = 4)", "most\n(n = 8)", "new\n(n = 6)"]


def test_nothing_but_colours_is_written() -> None:
    adata = section()
    before = adata.copy()
    tiles(adata, groupby="k")
    assert set(adata.uns) - set(before.uns) == {"k_colors"}
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    np.testing.assert_array_equal(adata.obsm["tiles"], before.obsm["tiles"])


def test_what_is_missing_is_named() -> None:
    adata = section()
    adata.obs["number"] = 1.5
    with pytest.raises(MissingError, match=r"obs\['domain'\]: found only \['k', 'number'\]"):
        tiles(adata, groupby="domain")
    with pytest.raises(OptionError, match=r"obs\['number'\]: found numbers"):
        tiles(adata, groupby="number")
    with pytest.raises(OptionError, match="n: found 0"):
        tiles(adata, n=0)
    with pytest.raises(MissingError, match=r"obsm\['other'\].*hs\.pp\.tile"):
        tiles(adata, tiles_key="other")
    adata.uns["spatial"]["s1"]["images"] = {}
    with pytest.raises(ImageError, match="s1"):
        tiles(adata, groupby="k")
    assert "k_colors" not in adata.uns
    assert not plt.get_fignums()
