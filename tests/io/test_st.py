"""Spatial Transcriptomics arrays: the right counts at the right place at the right scale."""

import csv
import logging
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import tifffile
from PIL import Image

from histoscribe._errors import CountsError, FileError, GenesError, ImageError, MissingError, OptionError, ScaleError
from histoscribe._keys import Keys
from histoscribe._sections import section_mpp
from histoscribe.io import open_image, read_st
from histoscribe.io._lattice import fit_lattice

MPP = 8.0  # 200 um are 25 px
ROTATION = np.array([[np.cos(0.05), np.sin(0.05)], [-np.sin(0.05), np.cos(0.05)]])


class Section:
    """A synthetic array: counts that encode their spot, and an image with a coloured dot under each."""

    def __init__(self, folder: Path, *, staggered: bool = False, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        column, row = (axis.ravel() for axis in np.meshgrid(np.arange(2, 12), np.arange(3, 11)))
        if staggered:
            column, row = (axis[(column + row) % 2 == 0] for axis in (column, row))
        step = 25 / np.sqrt(2) if staggered else 25
        xy = np.column_stack([column, row]) * step @ ROTATION + [20, 35]
        self.spots = pd.DataFrame({"x": column, "y": row, "pixel_x": xy[:, 0], "pixel_y": xy[:, 1], "selected": 1})
        names = [f"{x}x{y}" for x, y in zip(column, row, strict=True)]
        values = rng.poisson(1.0, (len(names), 6))
        values[:, 0] = np.arange(len(names)) + 1  # tells which spot it is
        self.counts = pd.DataFrame(values, index=names, columns=[f"G{k}" for k in range(6)])
        self.pixels = np.full((330, 320, 3), 240, dtype=np.uint8)
        y, x = np.mgrid[:330, :320] + 0.5
        for k, (cx, cy) in enumerate(xy):
            self.pixels[np.hypot(x - cx, y - cy) < 5] = (k + 1, 255 - k, 90)
        self.folder = folder
        self.image = folder / "he.png"
        Image.fromarray(self.pixels).save(self.image)

    def files(self) -> tuple[Path, Path]:
        counts, spots = self.folder / "S1.tsv.gz", self.folder / "spots.tsv"
        self.counts.to_csv(counts, sep="\t")
        self.spots.to_csv(spots, sep="\t", index=False)
        return counts, spots


@pytest.fixture
def section(tmp_path: Path) -> Section:
    return Section(tmp_path)


def test_every_spot_has_its_counts_its_place_and_its_pixels(section: Section) -> None:
    shuffled = section.spots.sample(frac=1, random_state=1)
    adata = read_st(section.counts, section.image, spots=shuffled)
    assert adata.obs_names.tolist() == section.counts.index.tolist()
    with open_image(adata) as image:
        for k, (x, y) in enumerate(adata.obsm["spatial"]):
            identity = adata.X[k, 0]
            assert identity == section.counts.loc[adata.obs_names[k], "G0"]
            assert image.read(x - 1, y - 1, 2, 2)[0, 0].tolist() == [identity, 256 - identity, 90]


def test_the_contract(section: Section) -> None:
    counts, spots = section.files()
    adata = read_st(counts, section.image, spots=spots, patient="P")
    assert adata.obsm["spatial"].dtype == np.float64
    for matrix in (adata.X, adata.layers["counts"]):
        assert sp.issparse(matrix)
        assert matrix.format == "csr"
        assert matrix.dtype.kind == "i"
        np.testing.assert_array_equal(matrix.toarray(), section.counts)
    adata.X.data[:] = 0
    assert adata.layers["counts"].sum() == section.counts.to_numpy().sum()
    entry = adata.uns["spatial"]["S1"]
    assert section_mpp(adata, "S1") == pytest.approx(MPP, rel=1e-6)
    assert entry["scalefactors"] == {
        "spot_diameter_fullres": pytest.approx(100 / MPP),
        "tissue_hires_scalef": pytest.approx(1.0),
    }
    assert entry["metadata"]["source_image_path"] == str(section.image.resolve())
    assert entry["metadata"]["image_scale"] == 1.0
    assert len(entry["metadata"]["image_sha256"]) == 64
    assert entry["metadata"]["patient"] == "P"
    assert set(adata.obs["patient"]) == {"P"}
    assert adata.obs["library_id"].dtype == "category"
    assert [f"{c}x{r}" for c, r in zip(adata.obs["array_col"], adata.obs["array_row"], strict=True)] == list(
        adata.obs_names
    )
    assert adata.uns[Keys.RECORD]["obsm.spatial"]["by"] == "io.read_st"


def test_it_survives_h5ad(section: Section) -> None:
    adata = read_st(section.counts, section.image, spots=section.spots)
    adata.write_h5ad(section.folder / "s.h5ad")
    back = ad.read_h5ad(section.folder / "s.h5ad")
    np.testing.assert_array_equal(back.obsm["spatial"], adata.obsm["spatial"])
    np.testing.assert_array_equal(
        back.uns["spatial"]["section"]["images"]["hires"], adata.uns["spatial"]["section"]["images"]["hires"]
    )


@pytest.mark.filterwarnings("ignore")  # what squidpy's imports raise
def test_squidpy_draws_it(section: Section) -> None:
    import squidpy as sq

    adata = read_st(section.counts, section.image, spots=section.spots)
    axes = sq.pl.spatial_scatter(adata, color="G0", return_ax=True)
    collection = next(c for c in axes.collections if hasattr(c, "get_paths") and len(c.get_array()) == adata.n_obs)
    extents = np.array([path.get_extents().get_points().mean(axis=0) for path in collection.get_paths()])
    np.testing.assert_allclose(extents, adata.obsm["spatial"], atol=0.5)


@pytest.mark.parametrize("seed", range(3))
def test_scale_is_right_with_missing_and_jittered_spots(seed: int) -> None:
    rng = np.random.default_rng(seed)
    index = np.argwhere(rng.random((33, 35)) < 0.3)
    xy = index * 200 / 0.7 @ ROTATION + rng.normal(0, 15, index.shape)
    assert fit_lattice(index, xy, (200, 200)).mpp == pytest.approx(0.7, rel=0.005)


def test_staggered_arrays(tmp_path: Path) -> None:
    section = Section(tmp_path, staggered=True)
    adata = read_st(section.counts, section.image, spots=section.spots)
    assert section_mpp(adata, "section") == pytest.approx(141.4 / 25, rel=1e-6)
    bare = read_st(section.counts, None)
    nearest = np.sort(np.linalg.norm(bare.obsm["spatial"] - bare.obsm["spatial"][9], axis=1))[1]
    assert nearest == pytest.approx(141.4)
    wide = read_st(section.counts, section.image, spots=section.spots, pitch_um=200.0)
    assert section_mpp(wide, "section") == pytest.approx(200 / 25, rel=1e-6)


def test_a_given_mpp_is_believed(section: Section) -> None:
    with pytest.warns(UserWarning, match=r"array says 8.0000 um per pixel, mpp= 0.5000; mpp= is believed"):
        adata = read_st(section.counts, section.image, spots=section.spots, mpp=0.5)
    assert section_mpp(adata, "section") == 0.5
    assert adata.uns["spatial"]["section"]["scalefactors"]["spot_diameter_fullres"] == 200
    assert section_mpp(read_st(section.counts, None, spots=section.spots, mpp=8.5), "section") == 8.5
    assert section_mpp(read_st(section.counts, None, spots=section.spots[:1], mpp=0.5), "section") == 0.5


@pytest.mark.parametrize("axis", ["swap", "mirror"])
def test_mirrored_positions_warn(axis: str, section: Section) -> None:
    changes = {
        "swap": {"pixel_x": section.spots["pixel_y"], "pixel_y": section.spots["pixel_x"]},
        "mirror": {"pixel_x": 320 - section.spots["pixel_x"]},
    }
    with pytest.warns(UserWarning, match=r"pixel_x and pixel_y appear swapped, or the image is mirrored"):
        adata = read_st(section.counts, None, spots=section.spots.assign(**changes[axis]))
    assert section_mpp(adata, "section") == pytest.approx(MPP)


def test_rotated_positions_do_not_warn(section: Section) -> None:
    turned = section.spots.assign(pixel_x=320 - section.spots["pixel_y"], pixel_y=section.spots["pixel_x"])
    assert section_mpp(read_st(section.counts, None, spots=turned), "section") == pytest.approx(MPP)


@pytest.mark.parametrize(("stretch", "warned"), [(1.015, False), (1.1, True), (1 / 1.1, True)])
def test_a_stretched_array_is_reported(
    stretch: float, warned: bool, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    rotation_free = section.spots.assign(pixel_x=section.spots["x"] * 25 * stretch, pixel_y=section.spots["y"] * 25.0)
    adata = read_st(section.counts, None, spots=rotation_free)
    assert section_mpp(adata, "section") == pytest.approx(MPP / np.sqrt(stretch))
    said = f"{MPP / stretch:.4f} um per pixel from column to column of the array, 8.0000 from row to row"
    assert (said in caplog.text) == warned


@pytest.mark.parametrize(("stated", "warned"), [(MPP * 1.05, False), (MPP * 1.3, True)])
def test_a_contradicting_file_warns(
    stated: float, warned: bool, section: Section, caplog: pytest.LogCaptureFixture
) -> None:
    path = section.folder / "he.tif"
    per_cm = 1e4 / stated
    tifffile.imwrite(path, section.pixels, photometric="rgb", resolution=(per_cm, per_cm), resolutionunit="CENTIMETER")
    adata = read_st(section.counts, path, spots=section.spots)
    assert (
        "the file says 10.4000 um per pixel, the pitch of the array 8.0000; the pitch of the array is believed"
        in caplog.text
    ) == warned
    assert section_mpp(adata, "section") == pytest.approx(MPP)


def test_a_smaller_image_is_linked_by_its_scale(section: Section) -> None:
    small = section.folder / "small.png"
    Image.fromarray(section.pixels[::2, ::2]).save(small)
    adata = read_st(section.counts, small, spots=section.spots, image_scale=0.5)
    assert adata.uns["spatial"]["section"]["scalefactors"]["tissue_hires_scalef"] == 0.5
    with open_image(adata) as image:
        assert (image.width, image.height) == (320, 330)
        x, y = adata.obsm["spatial"][7]
        assert image.read(x - 1, y - 1, 2, 2)[0, 0].tolist() == [8, 248, 90]


def test_the_picture_of_a_large_image_is_small(section: Section) -> None:
    large = np.repeat(np.repeat(section.pixels, 9, axis=0), 9, axis=1)
    path = section.folder / "large.png"
    Image.fromarray(large).save(path)
    spots = section.spots.assign(pixel_x=section.spots["pixel_x"] * 9, pixel_y=section.spots["pixel_y"] * 9)
    entry = read_st(section.counts, path, spots=spots).uns["spatial"]["section"]
    picture, scale = entry["images"]["hires"], entry["scalefactors"]["tissue_hires_scalef"]
    assert max(picture.shape) == 2000
    assert picture.dtype == np.uint8
    for k in (0, 41, 79):
        x, y = (spots.loc[k, ["pixel_x", "pixel_y"]] * scale).astype(int)
        assert abs(int(picture[y, x, 0]) - (k + 1)) <= 1


def test_an_array_is_kept_as_the_image(section: Section) -> None:
    adata = read_st(section.counts, section.pixels, spots=section.spots)
    entry = adata.uns["spatial"]["section"]
    np.testing.assert_array_equal(entry["images"]["hires"], section.pixels)
    assert "source_image_path" not in entry["metadata"]


def test_without_an_image(section: Section) -> None:
    adata = read_st(section.counts, None, spots=section.spots)
    assert adata.uns["spatial"]["section"]["images"] == {}
    assert section_mpp(adata, "section") == pytest.approx(MPP)
    bare = read_st(section.counts, None)
    assert section_mpp(bare, "section") == 1.0
    np.testing.assert_array_equal(bare.obsm["spatial"], bare.obs[["array_col", "array_row"]] * 200)


def test_spots_without_counts_and_the_reverse_are_left_out(section: Section, caplog: pytest.LogCaptureFixture) -> None:
    spots = section.spots.assign(selected=[0] * 5 + [1] * 75)
    with caplog.at_level(logging.INFO, logger="histoscribe"):
        adata = read_st(section.counts.iloc[:-3], None, spots=spots)
    assert adata.n_obs == 72
    assert "5 spots have counts and no (selected) position, 3 the reverse" in caplog.text
    assert "8.0000 um per pixel" in caplog.text


def test_genes_of_one_name_are_told_apart(section: Section) -> None:
    section.counts.columns = ["G0", "G1", "G1", "G2", "G2", "G2"]
    counts, spots = section.files()
    expected = ["G0", "G1", "G1-1", "G2", "G2-1", "G2-2"]
    assert read_st(counts, None, spots=spots).var_names.tolist() == expected
    assert read_st(section.counts, None, spots=spots).var_names.tolist() == expected


def test_the_callers_tables_are_left_alone(section: Section) -> None:
    counts, spots = section.counts.copy(), section.spots.copy()
    read_st(section.counts, None, spots=section.spots)
    pd.testing.assert_frame_equal(section.counts, counts)
    pd.testing.assert_frame_equal(section.spots, spots)


def _with(frame: pd.DataFrame, value: Any) -> pd.DataFrame:
    changed = frame.astype(type(value))
    changed.iloc[4, 2] = value
    return changed


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda s: {"counts": s.counts.T}, CountsError, "The genes are in the rows"),
        (lambda s: {"counts": s.counts.set_axis(range(80), axis=0)}, CountsError, "spots named <x>x<y>"),
        (lambda s: {"counts": pd.concat([s.counts, s.counts[:1]])}, CountsError, "each spot once"),
        (lambda s: {"counts": _with(s.counts, float("nan"))}, CountsError, "1 NaN or infinite"),
        (lambda s: {"counts": _with(s.counts, -1.0)}, CountsError, "negative"),
        (lambda s: {"counts": np.log1p(s.counts)}, CountsError, "log-normalised"),
        (lambda s: {"counts": s.counts.astype(str) + "?"}, CountsError, "expected numbers"),
        (lambda s: {"counts": s.counts.iloc[:, :0]}, GenesError, "0 genes"),
        (lambda s: {"counts": s.folder / "none.tsv"}, FileError, "counts .*none.tsv.*found nothing"),
        (lambda s: {"image": s.folder / "none.png"}, FileError, "image .*none.png.*found nothing"),
        (lambda s: {"spots": None}, MissingError, "Pass spots="),
        (lambda s: {"spots": s.spots.drop(columns="pixel_x")}, MissingError, r"expected \['pixel_x'\] too"),
        (lambda s: {"spots": s.spots.assign(x=s.spots["x"] + 90)}, MissingError, "files of one section"),
        (lambda s: {"spots": s.spots.assign(pixel_x=np.nan)}, OptionError, "80 rows with NaN"),
        (lambda s: {"spots": pd.concat([s.spots, s.spots[:1]])}, OptionError, "each spot once"),
        (lambda s: {"spots": s.spots.assign(pixel_x=s.spots["pixel_x"] + 900)}, ImageError, "within 320 x 330 pixels"),
        (lambda s: {"spots": s.spots[:1]}, ScaleError, "Pass mpp="),
        (lambda s: {"mpp": 0.0}, ScaleError, "mpp"),
        (lambda s: {"pitch_um": 200_000.0}, ScaleError, "pitch of the spot array"),
        (lambda s: {"pitch_um": 0.0}, OptionError, "pitch_um"),
        (lambda s: {"image_scale": 2.0}, OptionError, "image_scale"),
    ],
)
def test_bad_inputs(section: Section, change: Any, error: type[Exception], message: str) -> None:
    arguments = {"counts": section.counts, "image": section.image, "spots": section.spots} | change(section)
    with pytest.raises(error, match=message):
        read_st(arguments.pop("counts"), arguments.pop("image"), **arguments)


def test_swapped_axes_are_recognised(section: Section) -> None:
    wide = section.pixels[:110]
    spots = section.spots.assign(pixel_x=section.spots["pixel_y"] / 4, pixel_y=section.spots["pixel_x"])
    expected = (
        r"% of 80 inside the image \(x \d+ to \d+, y \d+ to \d+.*x and y appear swapped: exchanged, 100% fall inside"
    )
    with pytest.warns(UserWarning, match="mirror"), pytest.raises(ImageError, match=expected):
        read_st(section.counts, wide, spots=spots)


@pytest.mark.parametrize(("outside", "error"), [(0, False), (8, False), (9, True)])
def test_spots_outside_the_image(outside: int, error: bool, section: Section, caplog: pytest.LogCaptureFixture) -> None:
    spots = section.spots.assign(pixel_x=section.spots["pixel_x"].where(np.arange(80) >= outside, 325.0))
    if error:
        with pytest.raises(ImageError, match=r"89% of 80 inside the image \(x \d+ to 325, y \d+ to \d+"):
            read_st(section.counts, section.image, spots=spots)
    else:
        read_st(section.counts, section.image, spots=spots)
        assert (f"{outside} of 80 spots lie outside the image" in caplog.text) == (outside > 0)


def test_an_image_far_too_large_is_reported(section: Section, caplog: pytest.LogCaptureFixture) -> None:
    read_st(section.counts, np.zeros((3000, 3000, 3), dtype=np.uint8), spots=section.spots)
    assert "cover 0.48 %" in caplog.text
    assert "are image and scale right?" in caplog.text


def test_spots_of_another_section_are_an_error(section: Section) -> None:
    counts, spots = section.files()
    section.spots.assign(x=section.spots["x"] + 6).to_csv(spots, sep="\t", index=False)
    with pytest.raises(MissingError, match=r"spots.tsv.*32 of its 80 spots among the 80 of counts .*S1.tsv"):
        read_st(counts, None, spots=spots)


def test_few_selected_spots_are_still_of_this_section(section: Section) -> None:
    selected = section.spots.assign(selected=[1] * 12 + [0] * 68)
    assert read_st(section.counts, None, spots=selected).n_obs == 12
    assert read_st(section.counts.iloc[:12], None, spots=section.spots).n_obs == 12
    with pytest.raises(MissingError, match="selected"):
        read_st(section.counts, None, spots=section.spots.assign(selected=0))


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
def test_commas_do_as_well_as_tabs(quoting: Any, section: Section) -> None:
    section.counts.columns = ["G0", "a,b", "G2", "G2", "G4", "G5"]
    section.counts.to_csv(section.folder / "c.csv", quoting=quoting)
    section.spots.to_csv(section.folder / "s.csv", index=False, quoting=quoting)
    adata = read_st(section.folder / "c.csv", None, spots=section.folder / "s.csv")
    assert adata.var_names.tolist() == ["G0", "a,b", "G2", "G2-1", "G4", "G5"]
    np.testing.assert_array_equal(adata.X.toarray(), section.counts)


@pytest.mark.parametrize("section_id", ["C2", "B4", "A1", "E1"])
def test_real_sections_are_read_without_a_word(section_id: str, data: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = data / "her2st" / "ST-cnts" / f"{section_id}.tsv.gz"
    read_st(path, None, spots=data / "her2st" / "ST-spotfiles" / f"{section_id}_selection.tsv")
    assert not caplog.records
