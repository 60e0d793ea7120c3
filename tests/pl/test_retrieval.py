"""Pictures of what was retrieved."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from histoscribe._errors import ImageError, MissingError, OptionError
from histoscribe.pl import retrieval

from ..digest import digest

SIDE = 20  # px

pytestmark = pytest.mark.filterwarnings("ignore:.*images\\['hires'\\] is used:UserWarning")


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def section(name: str = "s1", *, n: int = 12, first: int = 10) -> AnnData:
    """Make tiles side by side, the k-th all of grey level ``first`` + k; spots are named alike in all sections."""
    pixels = np.repeat(np.arange(first, first + n, dtype=np.uint8), SIDE)[None, :, None].repeat(SIDE, axis=0)
    adata = AnnData(obs=pd.DataFrame({"library_id": pd.Categorical([name] * n)}, index=[f"spot_{k}" for k in range(n)]))
    corners = np.column_stack([np.arange(n) * SIDE, np.zeros(n)])
    adata.obsm["spatial"] = corners + SIDE / 2
    adata.obsm["tiles"] = np.column_stack([corners, np.full((n, 2), SIDE)]).astype(float)
    adata.uns["spatial"] = {
        name: {
            "images": {"hires": pixels.repeat(3, axis=2)},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 10.0},
            "metadata": {"mpp": 2.0},
        }
    }
    return adata


def table(matches: dict[int, list[int]], *, query_section: str = "s1", section: str = "s1") -> pd.DataFrame:
    """Result of a retrieval: rows of the matches of each query, the nearest first."""
    rows = [
        (f"spot_{query}", query_section, rank, f"spot_{match}", section, 1 - rank / 10, query == match)
        for query, own in matches.items()
        for rank, match in enumerate(own, start=1)
    ]
    names = ["query", "query_section", "rank", "match", "section", "cosine", "partner"]
    return pd.DataFrame(rows, columns=names)


def level(ax: Axes) -> int | None:
    """Grey level of a tile."""
    if not ax.images:
        return None
    (found,) = np.unique(np.asarray(ax.images[0].get_array())[20:-20, 20:-20])
    return int(found)


def shown(figure: Figure) -> list[list[int | None]]:
    """Grey levels in each row of the figure, from the left."""
    rows: dict[float, list[Axes]] = {}
    for ax in figure.axes:
        rows.setdefault(round(ax.get_position().y0, 6), []).append(ax)
    return [[level(ax) for ax in sorted(rows[y], key=lambda ax: ax.get_position().x0)] for y in sorted(rows)[::-1]]


def test_a_row_is_a_query_and_its_matches_in_order() -> None:
    found = table({3: [5, 3, 7], 8: [1, 0, 2]}).sample(frac=1, random_state=1).sort_values("query", kind="stable")
    figure = retrieval(section(), found)
    assert shown(figure) == [[13, 15, 13, 17], [18, 11, 10, 12]]
    titles = [ax.get_title() for ax in figure.axes]
    assert titles == ["query", "cosine 0.90", "0.80 (itself)", "0.70", "query", "cosine 0.90", "0.80", "0.70"]
    assert [ax.get_ylabel() for ax in figure.axes if ax.get_ylabel()] == ["spot_3", "spot_8"]
    assert figure.get_supxlabel() == "Each tile: 40 × 40 µm"


def test_the_partner_is_framed() -> None:
    figure = retrieval(section(), table({3: [5, 3, 7]}))
    frames = [(to_hex(s.get_edgecolor()).upper(), s.get_linewidth()) for s in (ax.spines["left"] for ax in figure.axes)]
    assert [frame[0] for frame in frames].count("#009E73") == 1
    assert frames[2] == ("#009E73", 3.0)


def test_the_first_queries_and_matches_are_drawn() -> None:
    found = table({k: [*range(10)] for k in (9, 4, 2)})
    assert shown(retrieval(section(), found, n_queries=2, n_matches=3)) == [[19, 10, 11, 12], [14, 10, 11, 12]]
    assert [len(row) for row in shown(retrieval(section(), found))] == [7, 7, 7]
    assert shown(retrieval(section(), found[found["query"] == "spot_2"], n_matches=1)) == [[12, 10]]


def test_sections_are_named_where_there_are_several() -> None:
    adatas = [section("a"), section("b", first=50)]
    found = pd.concat(
        [table({1: [2]}, query_section="a", section="b"), table({1: [2]}, query_section="b", section="a")]
    )
    figure = retrieval(adatas, found)
    assert shown(figure) == [[11, 52], [51, 12]]
    assert [ax.get_title() for ax in figure.axes] == ["query", "b\ncosine 0.90", "query", "a\ncosine 0.90"]
    assert [ax.get_ylabel() for ax in figure.axes][::2] == ["spot_1\na", "spot_1\nb"]


def test_queries_of_another_slide_are_drawn_from_it() -> None:
    slide, found = section("slide", first=100), table({1: [2, 1]}, query_section="slide")
    found["partner"] = False
    assert shown(retrieval(section(), found, query_adata=slide)) == [[101, 12, 11]]
    with pytest.raises(MissingError, match=r"found: found spot 'spot_1' of section 'slide'.*query_adata="):
        retrieval(section(), found)
    with pytest.raises(MissingError, match=r"found: found spot 'spot_2' of section 's1'.*adata that was searched"):
        retrieval(section("s2"), found, query_adata=slide)


def test_spots_without_a_tile_are_empty_frames() -> None:
    adata = section()
    adata.obs["tiles_valid"] = np.arange(12) != 5
    adata.obsm["tiles"][3] = np.nan
    figure = retrieval(adata, table({3: [5, 7]}))
    assert shown(figure) == [[None, None, 17]]
    assert [ax.texts[0].get_text() for ax in figure.axes[:2]] == ["no tile", "no tile"]
    adata.obs["tiles_valid"] = False
    with pytest.raises(OptionError, match=r"obsm\['tiles'\]: found no tile"):
        retrieval(adata, table({3: [5, 7]}))


def test_nothing_is_written() -> None:
    adata, found = section(), table({3: [5, 3]})
    before, kept = digest(adata), found.copy()
    retrieval(adata, found)
    assert digest(adata) == before
    pd.testing.assert_frame_equal(found, kept)


def test_a_users_names_start_no_formula() -> None:
    adata, found = section("$x_$"), table({1: [2]}, query_section="$x_$", section="$x_$")
    both = [adata, section("b")]
    retrieval(both, found).canvas.draw()


def test_what_is_missing_is_named() -> None:
    adata, found = section(), table({3: [5, 3]})
    with pytest.raises(OptionError, match=r"found: found no columns \['cosine'\].*hs\.tl\.retrieve"):
        retrieval(adata, found.drop(columns="cosine"))
    with pytest.raises(OptionError, match="found: found no rows"):
        retrieval(adata, found[:0])
    for name in ("n_queries", "n_matches"):
        with pytest.raises(OptionError, match=f"{name}: found 0"):
            retrieval(adata, found, **{name: 0})  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="query_adata: found an empty list"):
        retrieval(adata, found, query_adata=[])
    with pytest.raises(MissingError, match=r"obsm\['other'\].*hs\.pp\.tile"):
        retrieval(adata, found, tiles_key="other")
    adata.uns["spatial"]["s1"]["images"] = {}
    with pytest.raises(ImageError, match="s1"):
        retrieval(adata, found)
    assert not plt.get_fignums()
