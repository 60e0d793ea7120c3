"""Composed figures."""

import numpy as np
import pytest
from anndata import AnnData
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar

import histoscribe as hs
from histoscribe._errors import OptionError

from ..toys import cached_toy


@pytest.fixture(scope="module")
def toy() -> AnnData:
    made = cached_toy(n_spots=40)
    assert isinstance(made, AnnData)
    return made


def letters(figure: Figure) -> list[str]:
    return [ax.get_title(loc="left") for ax in figure.axes]


def test_the_tissue_comes_first_alone_and_with_the_scale_bar(toy: AnnData) -> None:
    figure = hs.pl.panels(toy, ["true_domain", toy.var_names[0]])
    tissue, domain, gene = figure.axes
    assert letters(figure) == ["a", "b", "c"]
    assert [ax.get_title() for ax in figure.axes] == ["H&E", "true_domain", toy.var_names[0]]
    assert not tissue.collections
    assert all(ax.images for ax in figure.axes)
    assert domain.get_legend() is not None
    assert gene.child_axes
    bars = [sum(isinstance(one, AnchoredSizeBar) for one in ax.get_children()) for ax in figure.axes]
    assert bars == [1, 0, 0]
    assert len({(ax.get_xlim(), ax.get_ylim()) for ax in figure.axes}) == 1
    plt.close(figure)


def test_without_an_image_there_is_no_bare_panel(toy: AnnData) -> None:
    adata = toy.copy()
    adata.uns["spatial"]["toy_1"]["images"] = {}
    figure = hs.pl.panels(adata, "true_domain")
    assert [ax.get_title() for ax in figure.axes] == ["true_domain"]
    assert any(isinstance(one, AnchoredSizeBar) for one in figure.axes[0].get_children())
    plt.close(figure)


def test_panels_wrap_and_take_titles(toy: AnnData) -> None:
    titles = ["tissue", "one", "two", "three"]
    figure = hs.pl.panels(toy, list(toy.var_names[:3]), title=titles, ncols=2)
    assert [ax.get_title() for ax in figure.axes] == titles
    tops = [round(ax.get_position().y0, 6) for ax in figure.axes]
    assert tops[0] == tops[1] > tops[2] == tops[3]
    sizes = np.array([ax.get_window_extent().size for ax in figure.axes])
    np.testing.assert_allclose(sizes, sizes[[0]].repeat(4, axis=0))
    plt.close(figure)


def test_several_sections_need_a_name() -> None:
    adatas = cached_toy(n_slides=2, n_spots=20)
    with pytest.raises(OptionError, match=r"2 sections: \['toy_1', 'toy_2'\].*library_id="):
        hs.pl.panels(adatas, "true_domain")
    figure = hs.pl.panels(adatas, "true_domain", library_id="toy_2")
    assert len(figure.axes) == 2
    plt.close(figure)
