"""Spatial maps: what is drawn, in which colours, and what is left alone."""

import copy
import logging
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData, concat
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import EllipseCollection
from matplotlib.colors import to_hex, to_rgba
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

from histoscribe._errors import MissingError, OptionError, ScaleError
from histoscribe.pl import spatial

GREY = to_rgba("#D3D3D3")


def section(name: str = "s1", *, mpp: float | None = 2.0, image: bool = True) -> AnnData:
    """Make 5 x 4 spots, 50 px apart, on a 300 x 250 px image that is green left of x = 150 and blue right of it."""
    x, y = (v.ravel().astype(float) for v in np.meshgrid(50 + 50 * np.arange(5), 50 + 50 * np.arange(4)))
    n = len(x)
    rng = np.random.default_rng(0)
    genes = np.column_stack([np.arange(n), rng.poisson(3, n)]).astype(np.float32)
    adata = AnnData(sp.csr_matrix(genes), var=pd.DataFrame(index=["EPCAM", "ERBB2"]))
    adata.obs_names = [f"{name}_{i}" for i in range(n)]
    adata.layers["counts"] = adata.X * 10
    adata.obs["domain"] = pd.Categorical(np.where(x < 150, "left", "right"), categories=["right", "never", "left"])
    adata.obs["patient"] = ["p1"] * (n - 1) + [None]
    adata.obs["boundary_um"] = np.where(np.arange(n) == 3, np.nan, np.arange(n, dtype=float))
    adata.obs["flag"] = x > 100
    scores = pd.DataFrame({"HYPOXIA": rng.normal(size=n)}, index=adata.obs_names)
    adata.obsm["score_hallmark"] = scores
    adata.obsm["padj_hallmark"] = scores.abs()
    adata.obsm["spatial"] = np.column_stack([x, y])
    pixels = np.zeros((250, 300, 3), dtype=np.uint8)
    pixels[:, :150, 1], pixels[:, 150:, 2] = 255, 255
    adata.uns["spatial"] = {
        name: {
            "images": {"hires": pixels} if image else {},
            "scalefactors": {"tissue_hires_scalef": 1.0, "spot_diameter_fullres": 20.0},
            "metadata": {} if mpp is None else {"mpp": mpp},
        }
    }
    return adata


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def one(*args: Any, **kwargs: Any) -> Any:
    """Draw one panel; Any, as matplotlib's types say less than it returns."""
    ax = spatial(*args, **kwargs)
    assert isinstance(ax, Axes)
    return ax


def many(*args: Any, **kwargs: Any) -> Any:
    """Draw several."""
    figure = spatial(*args, **kwargs)
    assert isinstance(figure, Figure)
    return figure


def spots(ax: Axes) -> Any:
    (found,) = [one for one in ax.collections if isinstance(one, EllipseCollection)]
    return found


def bars(ax: Axes) -> list[Any]:
    return [child for child in ax.child_axes if hasattr(child, "_colorbar")]


def has_scale_bar(ax: Axes) -> bool:
    return any(isinstance(one, AnchoredSizeBar) for one in ax.get_children())


def legend_colors(ax: Axes) -> dict[str, str]:
    legend = ax.get_legend()
    assert legend is not None
    handles = [handle.get_markerfacecolor() for handle in legend.legend_handles]  # type: ignore[union-attr]
    return dict(zip([text.get_text() for text in legend.get_texts()], handles, strict=True))


def drawn(figure: Figure) -> list[Axes]:
    """Panels in order; colour bars are children of theirs."""
    return list(figure.axes)


def test_spots_lie_where_they_are_in_their_true_size() -> None:
    adata = section()
    ax = one(adata, "EPCAM")
    np.testing.assert_array_equal(spots(ax).get_offsets(), adata.obsm["spatial"])
    np.testing.assert_allclose(spots(ax).get_widths(), 20)
    assert ax.yaxis_inverted()
    assert not ax.xaxis_inverted()
    assert ax.get_aspect() == 1
    assert len(ax.get_xticks()) == len(ax.get_yticks()) == 0


def test_size_is_a_factor_and_a_missing_diameter_follows_the_pitch() -> None:
    adata = section()
    del adata.uns["spatial"]["s1"]["scalefactors"]["spot_diameter_fullres"]
    np.testing.assert_allclose(spots(one(adata, "EPCAM", size=3)).get_widths(), 3 * 0.6 * 50)


def test_image_lies_under_the_spots_in_the_same_frame() -> None:
    ax = one(section(), "EPCAM")
    (image,) = ax.images
    pixels = np.asarray(image.get_array())
    x0, x1, y1, y0 = image.get_extent()
    assert (x0, x1) == ax.get_xlim()
    assert (y1, y0) == ax.get_ylim()
    column = np.clip(((np.array([100, 200]) - x0) / (x1 - x0) * pixels.shape[1]).astype(int), 0, None)
    row = int((100 - y0) / (y1 - y0) * pixels.shape[0])
    np.testing.assert_array_equal(pixels[row, column], [[0, 255, 0], [0, 0, 255]])


def test_only_the_crop_is_read_and_it_is_in_micrometres() -> None:
    adata = section()
    ax = one(adata, "EPCAM", crop=(80, 80, 240, 320))  # um, 2 um per pixel
    assert ax.get_xlim() == (40, 120)
    assert ax.get_ylim() == (160, 40)
    assert np.asarray(ax.images[0].get_array()).shape == (120, 80, 3)  # at full resolution, no more
    inside = (adata.obsm["spatial"] <= [130, 170]).all(axis=1)
    np.testing.assert_array_equal(spots(ax).get_offsets(), adata.obsm["spatial"][inside])
    whole = one(adata, "EPCAM")
    assert spots(ax).get_clim() == spots(whole).get_clim()


@pytest.mark.parametrize("crop", [(5000, 5000, 6000, 6000), (100, 100, 100, 200), (300, 100, 100, 200), (0, 1)])
def test_a_crop_that_shows_nothing_says_where_the_section_is(crop: tuple[float, ...]) -> None:
    with pytest.raises(OptionError, match=r"crop: .*The section spans \(0, 0, 600, 500\)"):
        spatial(section(), "EPCAM", crop=crop)


def test_a_crop_without_a_scale_says_what_is_missing() -> None:
    with pytest.raises(ScaleError, match=r"mpp of section 's1'.*micrometres"):
        spatial(section(mpp=None), "EPCAM", crop=(0, 0, 100, 100))


def test_numbers_of_one_sign_are_sequential_between_robust_limits() -> None:
    adata = section()
    ax = one(adata, "EPCAM")
    low, high = np.percentile(np.arange(20), [1, 99])
    assert spots(ax).get_clim() == (low, high)
    assert spots(ax).get_cmap().name == "viridis"
    (bar,) = bars(ax)
    assert bar._colorbar.extend == "both"
    np.testing.assert_array_equal(np.asarray(spots(ax).get_array()), np.arange(20))


def test_numbers_of_both_signs_are_centred_on_zero() -> None:
    ax = one(section(), "HYPOXIA")
    low, high = spots(ax).get_clim()
    assert low == -high
    assert spots(ax).norm(0.0) == 0.5
    assert spots(ax).get_cmap().name == "RdBu_r"
    assert bars(ax)[0].get_ylabel() == "score_hallmark"


def test_percentiles_are_limits_as_in_scanpy() -> None:
    ax = one(section(), "EPCAM", vmin="p10", vmax="p90")
    assert spots(ax).get_clim() == tuple(np.percentile(np.arange(20), [10, 90]))
    with pytest.raises(OptionError, match="vmax: found 'high'"):
        spatial(section(), "EPCAM", vmax="high")


def test_limits_that_are_given_hold() -> None:
    ax = one(section(), "EPCAM", vmin=-5, vmax=100, vcenter=10, cmap="PuOr")
    assert spots(ax).get_clim() == (-5, 100)
    assert spots(ax).norm(10) == 0.5
    assert spots(ax).get_cmap().name == "PuOr"
    assert bars(ax)[0]._colorbar.extend == "neither"


@pytest.mark.parametrize("value", [0.0, 3.5, -2.0])
def test_constant_values_have_a_scale_that_holds_them(value: float) -> None:
    adata = section()
    adata.obs["same"] = value
    ax = one(adata, "same")
    ax.figure.canvas.draw()
    assert spots(ax).norm(value) == (0.5 if value else 0)
    (bar,) = bars(ax)
    assert bar.get_yticks().tolist() == [value]
    assert bar._colorbar.extend == "neither"


def test_spots_without_a_number_are_grey_and_the_key_says_so() -> None:
    ax = one(section(), "boundary_um")
    ax.figure.canvas.draw()
    assert tuple(spots(ax).get_facecolor()[3]) == GREY
    assert tuple(spots(ax).get_facecolor()[4]) != GREY
    assert list(legend_colors(ax)) == ["no value"]
    assert bars(ax)[0].get_ylabel() == "µm"


def test_without_any_number_all_spots_are_grey_and_there_is_no_colour_bar() -> None:
    adata = section()
    adata.obs["none"] = np.nan
    ax = one(adata, "none")
    ax.figure.canvas.draw()
    assert {tuple(color) for color in spots(ax).get_facecolor()} == {GREY}
    assert list(legend_colors(ax)) == ["no value"]
    assert not bars(ax)


def test_categories_keep_their_colours_in_uns_in_their_order() -> None:
    adata = section()
    ax = one(adata, "domain")
    kept = dict(zip(adata.obs["domain"].cat.categories, adata.uns["domain_colors"], strict=True))
    assert set(kept) == {"right", "never", "left"}
    colors = [to_hex(color).upper() for color in spots(ax).get_facecolor()]
    assert colors == [kept[name] for name in adata.obs["domain"]]
    assert legend_colors(ax) == {name: kept[name] for name in ("right", "left")}  # no spot is "never"


def test_colours_that_scanpy_kept_are_used_and_left_alone() -> None:
    adata = section()
    adata.uns["domain_colors"] = np.array(["#ff0000", "#00ff00", "#0000ff"])
    assert legend_colors(one(adata, "domain")) == {"right": "#FF0000", "left": "#0000FF"}
    assert list(adata.uns["domain_colors"]) == ["#ff0000", "#00ff00", "#0000ff"]


@pytest.mark.parametrize("kept", [["#ff0000"], ["#ff0000", "no colour", "#0000ff"]])
def test_colours_of_other_categories_are_replaced(kept: list[str]) -> None:
    adata = section()
    adata.uns["domain_colors"] = kept
    spatial(adata, "domain")
    assert len(adata.uns["domain_colors"]) == 3
    assert "no colour" not in adata.uns["domain_colors"]


@pytest.mark.parametrize(
    ("palette", "left"),
    [({"left": "red"}, "#FF0000"), (["k", "w", "lime"], "#00FF00"), ("viridis", "#FDE725")],
    ids=["dictionary", "list", "colour map"],
)
def test_a_palette_replaces_the_colours_that_were_kept(palette: Any, left: str) -> None:
    adata = section()
    spatial(adata, "domain")
    assert legend_colors(one(adata, "domain", palette=palette))["left"] == left
    assert adata.uns["domain_colors"][2] == left


def test_text_and_truth_values_are_categories_and_missing_ones_are_grey() -> None:
    adata = section()
    figure = many(adata, ["patient", "flag"])
    patient, flag = drawn(figure)
    assert list(legend_colors(patient)) == ["p1", "no value"]
    assert tuple(spots(patient).get_facecolor()[-1]) == GREY
    assert list(legend_colors(flag)) == ["False", "True"]
    assert adata.obs["patient"].dtype == section().obs["patient"].dtype


def test_more_categories_than_colours_are_drawn_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    adata = section()
    adata.obs["many"] = pd.Categorical([f"type {i}" for i in range(20)], categories=[f"type {i}" for i in range(200)])
    one(adata, "many").figure.canvas.draw()
    assert "200 categories" in caplog.text
    assert len(set(adata.uns["many_colors"][:72])) == 72


def test_names_are_written_as_they_are() -> None:
    adata = section()
    names = ["_hidden", "a$b$c", "x" * 300, "plain"]
    adata.obs["odd $name_"] = pd.Categorical([names[i % 4] for i in range(20)], categories=names)
    ax = one(adata, "odd $name_")
    ax.figure.canvas.draw()
    written = list(legend_colors(ax))
    assert written[:2] == ["_hidden", "a$b$c"]
    assert written[2].startswith("xxx")
    assert len(written[2]) < 60
    assert ax.get_title() == "odd $name_"


def test_nothing_but_colours_is_written() -> None:
    adata = section()
    before = adata.copy()
    state, style = np.random.get_state(legacy=False)["state"]["key"].copy(), dict(mpl.rcParams)  # noqa: NPY002
    many(adata, ["EPCAM", "domain", "HYPOXIA", "patient", "flag"])
    assert set(adata.uns) - set(before.uns) == {"domain_colors", "patient_colors"}  # none of True, False
    pd.testing.assert_frame_equal(adata.obs, before.obs)
    assert (adata.X != before.X).nnz == 0
    assert dict(mpl.rcParams) == style
    np.testing.assert_array_equal(np.random.get_state(legacy=False)["state"]["key"], state)  # noqa: NPY002


def test_a_view_stays_a_view() -> None:
    adata = section()
    part = adata[adata.obs["flag"]]
    spatial(part, "domain")
    assert part.is_view
    assert "domain_colors" not in part.uns


@pytest.mark.parametrize("wrong", [{"ncols": 0}, {"title": ["a", "b"]}, {"vmin": 3, "vmax": 1}, {"cmap": "nope"}])
def test_a_call_that_fails_writes_nothing_and_leaves_no_figure(wrong: dict[str, Any]) -> None:
    adata = section()
    with pytest.raises(OptionError, match=next(iter(wrong))):
        spatial(adata, ["domain", "ERBB2", "flag"], **wrong)
    assert set(adata.uns) == {"spatial"}
    assert not plt.get_fignums()


@pytest.mark.parametrize("wrong", [{"size": 0}, {"size": np.nan}, {"alpha": 2}, {"palette": ["x"]}, {"color": []}])
def test_bad_options_are_named(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match=next(iter(wrong))):
        spatial(section(), **{"color": "domain", **wrong})


def test_one_panel_is_axes_and_several_are_a_figure() -> None:
    adata = section()
    single = one(adata, ["EPCAM"], layer="counts")
    assert np.asarray(spots(single).get_array())[2] == 20
    assert bars(single)[0].get_ylabel() == "counts"
    figure = many(adata, ["HYPOXIA", "domain", "flag", "ERBB2"])
    assert [ax.get_title() for ax in drawn(figure)] == ["HYPOXIA", "domain", "flag", "ERBB2"]
    assert [has_scale_bar(ax) for ax in drawn(figure)] == [True, False, False, False]


def test_the_users_axes_are_drawn_into_and_pyplot_makes_no_figure() -> None:
    figure = Figure(figsize=(6, 3))
    left, right = figure.subplots(1, 2)
    assert one(section(), "domain", ax=left) is left
    spatial(section(), "ERBB2", ax=right, legend=False, scale_bar=False, title="mine")
    assert not plt.get_fignums()
    assert right.get_title() == "mine"
    assert right.get_legend() is None
    assert not bars(right)
    assert not has_scale_bar(right)
    assert has_scale_bar(left)
    with pytest.raises(OptionError, match=r"ax: .*Leave ax= out"):
        spatial(section(), ["domain", "ERBB2"], ax=left)


def test_without_a_name_the_tissue_is_drawn_alone() -> None:
    ax = one(section())
    assert ax.images
    assert not ax.collections
    bare = one(section(image=False))
    assert tuple(spots(bare).get_facecolor()[0]) == GREY


def test_without_an_image_spots_are_drawn_on_white(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        ax = one(section(image=False), "EPCAM")
    assert not ax.images
    assert "no image is linked" in caplog.text
    assert not one(section(), "EPCAM", image=False).images


def test_an_image_that_cannot_be_read_is_a_warning_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    adata = section(image=False)
    adata.uns["spatial"]["s1"]["metadata"]["source_image_path"] = "gone.tif"
    ax = one(adata, "EPCAM")
    assert not ax.images
    assert "gone.tif" in caplog.text


def test_the_small_image_serves_where_it_is_the_only_one() -> None:
    adata = section()
    entry = adata.uns["spatial"]["s1"]
    entry["images"] = {"lowres": entry["images"]["hires"][::5, ::5]}
    entry["scalefactors"]["tissue_lowres_scalef"] = 0.2
    ax = one(adata, "EPCAM")
    np.testing.assert_allclose(ax.images[0].get_extent(), [0, 300, 250, 0])


def test_without_a_scale_there_is_no_bar_and_one_line_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    figure = many(section(mpp=None), ["domain", "ERBB2"])
    assert not any(has_scale_bar(ax) for ax in drawn(figure))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "no scale bar for s1" in caplog.text


def test_without_uns_spots_are_still_drawn() -> None:
    adata = section()
    del adata.uns["spatial"]
    np.testing.assert_allclose(spots(one(adata, "EPCAM")).get_widths(), 30)


def test_spots_without_a_position_are_left_out_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    adata = section()
    adata.obsm["spatial"][[0, 7], 0] = np.nan
    ax = one(adata, "EPCAM")
    np.testing.assert_array_equal(np.asarray(spots(ax).get_array()), np.delete(np.arange(20), [0, 7]))
    assert "2 spots without a position" in caplog.text
    adata.obsm["spatial"][:] = np.nan
    with pytest.raises(OptionError, match=r"obsm\['spatial'\]: found no finite position"):
        spatial(adata, "EPCAM")


def test_missing_positions_name_the_slot() -> None:
    adata = section()
    del adata.obsm["spatial"]
    with pytest.raises(MissingError, match=r"obsm\['spatial'\]"):
        spatial(adata, "EPCAM")


def two() -> list[AnnData]:
    first, second = section("a", mpp=2.0), section("b", mpp=4.0)
    second.obs["domain"] = pd.Categorical(np.where(second.obs["flag"], "new", "left"))
    second.X = second.X * 3
    return [first, second]


def test_sections_share_scale_colours_and_one_key() -> None:
    adatas = two()
    figure = many(adatas, ["ERBB2", "domain"])
    gene_a, domain_a, gene_b, domain_b = drawn(figure)
    assert [gene_a.get_ylabel(), gene_b.get_ylabel()] == ["a", "b"]
    assert [gene_a.get_title(), domain_a.get_title(), gene_b.get_title()] == ["ERBB2", "domain", ""]
    both = np.concatenate([adata.X.toarray()[:, 1] for adata in adatas])
    assert spots(gene_a).get_clim() == spots(gene_b).get_clim() == tuple(np.percentile(both, [1, 99]))
    assert [len(bars(ax)) for ax in (gene_a, gene_b)] == [1, 0]
    assert domain_b.get_legend() is None
    assert list(legend_colors(domain_a)) == ["right", "left", "new"]
    left = {to_hex(spots(ax).get_facecolor()[0]) for ax in (domain_a, domain_b)}
    assert len(left) == 1
    assert adatas[0].uns["domain_colors"][2] == adatas[1].uns["domain_colors"][0] == left.pop().upper()
    assert has_scale_bar(gene_a)
    assert has_scale_bar(gene_b)


def test_sections_are_drawn_to_the_same_scale() -> None:
    first, second = two()
    figure = many([first, second], "ERBB2")
    left, right = drawn(figure)
    assert [left.get_title(), right.get_title()] == ["a", "b"]
    assert np.ptp(left.get_xlim()) * 2.0 == pytest.approx(np.ptp(right.get_xlim()) * 4.0)
    widths = [ax.get_window_extent().width for ax in (left, right)]
    assert widths[0] == pytest.approx(widths[1])
    assert [len(bars(ax)) for ax in (left, right)] == [0, 1]  # at the end of the row
    assert bars(right)[0].get_ylabel() == "ERBB2 · counts"


def test_one_anndata_with_sections_draws_as_a_list_does() -> None:
    adatas = [section("a"), section("b")]
    joined = concat(adatas, label="library_id", keys=["a", "b"], uns_merge="unique")
    figure = many(joined, "ERBB2")
    assert [ax.get_title() for ax in drawn(figure)] == ["a", "b"]
    ax = one(joined, "ERBB2", library_id="b")
    np.testing.assert_array_equal(np.asarray(spots(ax).get_array()), adatas[1].X.toarray()[:, 1])
    swapped = many(joined, "ERBB2", library_id=["b", "a"], ncols=1)
    assert [ax.get_title() for ax in drawn(swapped)] == ["b", "a"]
    with pytest.raises(MissingError, match=r"library_id: found \['c'\]; expected some of \['a', 'b'\]"):
        spatial(joined, "ERBB2", library_id="c")


def test_a_drawn_figure_fits_everything_it_holds() -> None:
    adata = section()
    adata.obs["a_name_that_is_far_too_long_for_its_panel_and_has_to_be_wrapped"] = adata.obs["domain"]
    adata.obs["tiny"] = np.linspace(1e-7, 2e-7, 20)
    adata.obs["many"] = pd.Categorical([f"a category with a long name {i}" for i in range(20)])
    names = ["tiny", "many", "a_name_that_is_far_too_long_for_its_panel_and_has_to_be_wrapped", "boundary_um"]
    figure = many(adata, names, title="Heading")
    figure.canvas.draw()
    boxes = [ax.get_tightbbox() for ax in drawn(figure)]
    for i, box in enumerate(boxes):
        assert box is not None
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        for other in boxes[:i]:
            assert other is not None
            assert not box.overlaps(other)


def test_the_same_call_gives_the_same_figure() -> None:
    adata = section()
    first = many(adata, ["domain", "HYPOXIA"])
    uns = copy.deepcopy(dict(adata.uns))
    second = many(adata, ["domain", "HYPOXIA"])
    pixels = []
    for figure in (first, second):
        figure.canvas.draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()))
    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert uns["domain_colors"] == adata.uns["domain_colors"]
