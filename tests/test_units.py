import numpy as np
import pytest

from histoscribe._errors import MissingError, OptionError, ScaleError
from histoscribe._sections import positions_um, section_mpp, sections
from histoscribe._units import check_mpp, n_doubled, pitch, to_px, to_um

from .toys import cached_toy


def test_there_and_back() -> None:
    assert to_um([10, 20], 0.5).tolist() == [5.0, 10.0]
    assert to_px(to_um(7, 0.25), 0.25) == 7


@pytest.mark.parametrize("wrong", [None, 0, -0.5, float("inf"), float("nan"), 352.8, 10000, "half"])
def test_implausible_scale_names_value_and_source(wrong: object) -> None:
    with pytest.raises(ScaleError, match="mpp from the TIFF tag"):
        check_mpp(wrong, source="the TIFF tag")


def test_pitch_of_a_turned_lattice_with_holes() -> None:
    x, y = (a.ravel() for a in np.mgrid[0:20, 0:20] * 7.0)
    keep = np.random.default_rng(0).random(400) > 0.2
    turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
    xy = np.column_stack([x, y])[keep] @ turn
    assert pitch(xy) == pytest.approx(7)
    assert check_mpp(100 / pitch(xy), source="the pitch") == pytest.approx(100 / 7)
    with pytest.raises(ScaleError, match="1 distinct"):
        pitch(np.zeros((5, 2)))


def test_missing_scale_says_how_far_apart_the_spots_are() -> None:
    adata = cached_toy(n_spots=30)
    del adata.uns["spatial"]["toy_1"]["metadata"]["mpp"]
    with pytest.raises(ScaleError, match=r"about 100 px apart: on Visium \(100 um\) that is about 1\.000"):
        section_mpp(adata, "toy_1")


def test_sections_by_column_or_the_only_library() -> None:
    adata = cached_toy(n_spots=30)
    assert list(sections(adata)) == ["toy_1"]
    del adata.obs["library_id"]
    assert list(sections(adata)) == ["toy_1"]
    with pytest.raises(MissingError, match="slide"):
        sections(adata, "slide")
    adata.uns["spatial"]["other"] = {}
    with pytest.raises(MissingError, match=r"Write the section of each row into obs\['library_id'\]"):
        sections(adata)
    adata.obs["place"] = ["toy_1"] * 10 + ["other"] * 20
    with pytest.raises(MissingError, match="Pass library_key='place'"):
        sections(adata)
    adata.obs["slide"] = ["a"] * 10 + ["b"] * 20
    assert {k: len(v) for k, v in sections(adata, "slide").items()} == {"a": 10, "b": 20}
    adata.obs["slide"] = [None] + ["b"] * 29
    with pytest.raises(OptionError, match="1 missing"):
        sections(adata, "slide")


def test_positions_must_be_flat() -> None:
    adata = cached_toy(n_spots=30)
    adata.obsm["spatial"] = np.zeros((30, 3))
    with pytest.raises(OptionError, match=r"\(30, 3\)"):
        positions_um(adata)


def test_lost_libraries_point_to_how_concat_keeps_them() -> None:
    import anndata

    both = anndata.concat(cached_toy(n_slides=2, n_spots=30))
    with pytest.raises(ScaleError, match="uns_merge='unique'"):
        section_mpp(both, "toy_1")


def test_doubled_positions_are_counted() -> None:
    xy = [(0.0, 0.0), (1.0, 0.0), (0.0, 0.0), (0.0, 0.0), (1.0, 2.0)]
    assert n_doubled(np.array(xy)) == sum(place in xy[:k] for k, place in enumerate(xy)) == 2
