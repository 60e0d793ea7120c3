from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from histoscribe._errors import HistoscribeError, ImageError
from histoscribe.io import open_image


def smooth(height: int, width: int, n_channels: int, dtype: type = np.uint8, seed: int = 0) -> NDArray:
    """Random image that JPEG keeps well."""
    coarse = np.random.default_rng(seed).uniform(0, 1, (n_channels, 9, 11)).astype(np.float32)
    planes = [np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR)) for plane in coarse]
    top = 1.0 if np.issubdtype(dtype, np.floating) else min(np.iinfo(dtype).max, 60_000)
    return np.moveaxis(np.array(planes) * top, 0, -1).astype(dtype)


@pytest.mark.parametrize("layout", [{"tile": (64, 48)}, {"rowsperstrip": 37}, {"rowsperstrip": 150}])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
@pytest.mark.parametrize(
    ("dtype", "n_channels", "planar"),
    [
        (np.uint8, 1, "contig"),
        (np.uint8, 3, "contig"),
        (np.uint8, 3, "separate"),
        (np.uint16, 3, "contig"),
        (np.uint16, 7, "separate"),
        (np.float32, 2, "contig"),
        (np.int32, 5, "separate"),
    ],
)
def test_layouts_and_types(
    tmp_path: Path, layout: dict[str, Any], compression: str | None, dtype: type, n_channels: int, planar: str
) -> None:
    image = smooth(150, 203, n_channels, dtype)
    stored = image[..., 0] if n_channels == 1 else np.moveaxis(image, -1, 0) if planar == "separate" else image
    colour = "rgb" if n_channels == 3 else "minisblack"
    options: dict[str, Any] = {"planarconfig": planar} if n_channels > 1 else {}
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, stored, photometric=colour, compression=compression, **options, **layout)
    with open_image(path) as opened:
        assert (opened.width, opened.height, opened.n_channels, opened.dtype) == (203, 150, n_channels, np.dtype(dtype))
        np.testing.assert_array_equal(opened.read(0, 0, 203, 150), image)
        np.testing.assert_array_equal(opened.read(31, 57, 90, 44), image[57:101, 31:121])


@pytest.mark.parametrize("ome", [True, False])
def test_pages_are_channels(tmp_path: Path, ome: bool) -> None:
    image = smooth(90, 80, 5, np.uint16)
    path = tmp_path / ("many.ome.tif" if ome else "many.tif")
    metadata = {"axes": "CYX"} if ome else None
    with tifffile.TiffWriter(path, ome=ome) as tiff:
        options: dict[str, Any] = {"tile": (32, 32), "compression": "zlib", "photometric": "minisblack"}
        tiff.write(np.moveaxis(image, -1, 0), subifds=1 if ome else None, metadata=metadata, **options)
        if ome:
            tiff.write(np.moveaxis(image[::2, ::2], -1, 0), subfiletype=1, **options)
    with open_image(path) as opened:
        assert opened.n_channels == 5
        np.testing.assert_array_equal(opened.read(10, 20, 50, 60), image[20:80, 10:60])
        assert opened.thumbnail(40)[0].shape == (45 * 40 // 45, 35, 5)


@pytest.mark.parametrize("lossy", ["jpeg", "jpeg2000"])
def test_lossy_codecs_keep_colours(tmp_path: Path, lossy: str) -> None:
    image = smooth(200, 300, 3)
    tifffile.imwrite(tmp_path / "image.tif", image, photometric="rgb", tile=(64, 64), compression=lossy)
    with open_image(tmp_path / "image.tif") as opened:
        found = opened.read(0, 0, 300, 200)
    assert np.abs(found.astype(int) - image).mean() < 2


def colour_models() -> list[Any]:
    image = smooth(70, 60, 4)
    rgb, alpha = image[..., :3], image[..., 3:]
    white = np.asarray(
        Image.alpha_composite(Image.new("RGBA", (60, 70), "white"), Image.fromarray(image)).convert("RGB")
    )
    premultiplied = np.dstack([np.rint(rgb * (alpha / 255)).astype(np.uint8), alpha])
    palette = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16) * 257
    ycbcr = np.asarray(Image.fromarray(rgb).convert("YCbCr"))
    grey = rgb[..., 0]
    return [
        pytest.param(image, {"photometric": "rgb", "extrasamples": ["unassalpha"]}, white, 1, id="alpha"),
        pytest.param(
            premultiplied, {"photometric": "rgb", "extrasamples": ["assocalpha"]}, white, 2, id="premultiplied"
        ),
        pytest.param(image, {"photometric": "rgb", "extrasamples": ["unspecified"]}, image, 0, id="fourth channel"),
        pytest.param(grey, {"photometric": "palette", "colormap": palette}, (palette >> 8).T[grey], 0, id="palette"),
        pytest.param(255 - grey, {"photometric": "miniswhite"}, grey[..., None], 0, id="white is zero"),
        pytest.param(ycbcr, {"photometric": "ycbcr", "compression": "zlib"}, rgb, 3, id="YCbCr"),
    ]


@pytest.mark.parametrize(("stored", "options", "expected", "tolerance"), colour_models())
def test_colour_models(tmp_path: Path, stored: NDArray, options: dict, expected: NDArray, tolerance: int) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, stored, tile=(32, 32), **options)
    with open_image(path) as opened:
        found = opened.read(-10, 0, 70, 70)
        assert opened.n_channels == expected.shape[2] == found.shape[2]
    assert np.abs(found[:, 10:].astype(int) - expected).max() <= tolerance
    assert (found[:, :10] == (0 if expected.shape[2] == 4 else 255)).all()


def test_segments_that_the_file_leaves_out_are_background(tmp_path: Path) -> None:
    image = np.full((128, 128, 3), 90, dtype=np.uint8)
    path = tmp_path / "sparse.tif"
    tiles: list[NDArray | None] = [image[:64, :64], None] * 2
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(
            iter(tiles), shape=image.shape, dtype=image.dtype, tile=(64, 64), photometric="rgb", compression="zlib"
        )
    with open_image(path) as opened:
        found = opened.read(0, 0, 128, 128)
    assert (found[:, :64] == 90).all()
    assert (found[:, 64:] == 255).all()


@pytest.fixture
def pyramid(tmp_path: Path) -> Path:
    image = smooth(600, 700, 3)
    path = tmp_path / "pyramid.tif"
    options: dict[str, Any] = {"tile": (64, 64), "photometric": "rgb", "compression": "jpeg"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(image, subifds=2, **options)
        for factor in (2, 4):
            tiff.write(image[::factor, ::factor], subfiletype=1, **options)
    return path


@pytest.mark.parametrize(("extent", "level"), [(40, 0), (79, 0), (80, 1), (120, 1), (160, 2), (500, 2)])
def test_each_segment_is_decoded_once_and_in_file_order(
    pyramid: Path, monkeypatch: pytest.MonkeyPatch, extent: float, level: int
) -> None:
    with tifffile.TiffFile(pyramid, mode="r+") as tiff:  # some writers put tiles in an order of their own
        tags = tiff.pages.first.tags
        shuffled = np.random.default_rng(0).permutation(len(tags["TileOffsets"].value))
        for name in ("TileOffsets", "TileByteCounts"):
            tags[name].overwrite([tags[name].value[k] for k in shuffled])
    decoded: list[tuple[int, int]] = []
    original: Callable[[Any], Any] = tifffile.TiffPage.__dict__["decode"].func

    def counting(page: tifffile.TiffPage) -> Any:
        def decode(data: bytes, index: int, **tables: Any) -> Any:
            decoded.append((page.imagewidth, page.dataoffsets[index]))
            return original(page)(data, index, **tables)

        return decode

    monkeypatch.setattr(tifffile.TiffPage, "decode", property(counting))
    monkeypatch.setattr(
        "histoscribe.io.image._tiff._BYTES_AT_ONCE", 50_000
    )  # a few tiles: order counts beyond one reading
    corner = np.random.default_rng(0).uniform(-50, [650, 550], (150, 2))
    with open_image(pyramid) as opened:
        rows = [rows for rows, _ in opened.read_tiles(np.hstack([corner, np.full((150, 2), extent)]), 40)]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(150))
    offsets = [offset for _, offset in decoded]
    assert {width for width, _ in decoded} == {[700, 350, 175][level]}
    assert offsets == sorted(set(offsets))


def test_truncated_files_are_never_half_an_image(pyramid: Path, tmp_path: Path) -> None:
    whole = pyramid.read_bytes()
    path = tmp_path / "cut.tif"
    with open_image(pyramid) as opened:
        expected = opened.read(0, 0, 700, 600)
    named: list[bool] = []
    for share in np.linspace(0.001, 0.999, 40):
        path.write_bytes(whole[: int(len(whole) * share)])
        try:
            with open_image(path) as opened:
                found = opened.read(0, 0, 700, 600)
        except ImageError as error:
            named.append("cut.tif" in str(error))
        else:
            np.testing.assert_array_equal(found, expected)  # only the coarser levels are gone
            assert share > 0.7
    assert all(named)
    assert len(named) > 25


@pytest.mark.parametrize("compression", ["jpeg", "zlib", "lzw", "jpeg2000"])
def test_segments_cut_short_inside_the_file(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, smooth(128, 128, 3), tile=(64, 64), photometric="rgb", compression=compression)
    with tifffile.TiffFile(path) as tiff:
        start, count = tiff.pages[0].dataoffsets[2], tiff.pages[0].databytecounts[2]
    content = bytearray(path.read_bytes())
    content[start + count // 2 : start + count] = bytes(count - count // 2)
    path.write_bytes(content)
    with open_image(path) as opened:
        assert opened.read(0, 0, 128, 64).shape == (64, 128, 3)
        with pytest.raises(ImageError, match=r"image\.tif.*columns 0 to 64, rows 64 to 128"):
            opened.read(0, 64, 10, 10)


@pytest.mark.filterwarnings("ignore")
def test_damaged_headers_never_crash(pyramid: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = bytearray(pyramid.read_bytes())
    path = tmp_path / "damaged.tif"
    refused = 0
    for _ in range(60):
        content = whole.copy()
        for place in rng.integers(4, 700, 3):
            content[place] = rng.integers(256)
        path.write_bytes(content)
        try:
            with open_image(path) as opened:
                opened.read(0, 0, 50, 50)
        except HistoscribeError:
            refused += 1
    assert 10 < refused < 60


def test_what_is_no_flat_image_is_refused(tmp_path: Path) -> None:
    cases: list[tuple[NDArray, dict[str, Any], str]] = [
        (np.zeros((4, 3, 64, 64), np.uint8), {"ome": True, "metadata": {"axes": "ZCYX"}}, "axes"),
        (np.zeros((4, 64, 64, 3), np.uint8), {"photometric": "rgb"}, "axes"),
        (np.zeros((64, 64, 4), np.uint8), {"photometric": "separated"}, "colour model SEPARATED"),
        (np.zeros((64, 64), np.complex64), {}, "complex64"),
        (np.zeros((64, 64), np.uint8), {"extratags": [(274, "H", 1, 6, True)]}, "orientation 6"),
    ]
    for number, (stored, options, found) in enumerate(cases):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, stored, **options)
        with pytest.raises(ImageError, match=found):
            open_image(path)


def test_a_slide_in_one_strip_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.zeros((200, 300), np.uint8)
    tifffile.imwrite(tmp_path / "strip.tif", stored, rowsperstrip=200)
    tifffile.imwrite(tmp_path / "tiled.tif", stored, tile=(64, 64))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 20_000)
    with pytest.raises(ImageError, match=r"strip\.tif.*Convert it to a tiled pyramid"):
        open_image(tmp_path / "strip.tif")
    with open_image(tmp_path / "tiled.tif") as opened:
        assert opened.width == 300


@pytest.mark.parametrize("name", ["CMU-1-Small-Region.svs", "tcga-cr-7395-01a-01-ts1.svs"])
def test_colours_and_places_agree_with_openslide(data: Path, name: str) -> None:
    openslide = pytest.importorskip("openslide")
    path = data / "wsi_small" / name
    rng = np.random.default_rng(0)
    with openslide.OpenSlide(path) as slide, open_image(path) as opened:
        assert (opened.width, opened.height) == slide.dimensions
        assert len(opened._source.levels) == slide.level_count
        if opened.has_mpp:
            assert opened.mpp == pytest.approx(float(slide.properties["openslide.mpp-x"]))
        for x, y in rng.integers(0, np.array(slide.dimensions) - 300, (12, 2)).tolist():
            reference = np.asarray(slide.read_region((x, y), 0, (300, 200)).convert("RGB")).astype(int)
            difference = np.abs(opened.read(x, y, 300, 200) - reference)
            assert difference.max() <= 4  # decoders round differently
            assert difference.mean() < 0.5


def test_real_levels_lie_on_each_other(data: Path) -> None:
    with open_image(data / "wsi_small" / "tcga-cr-7395-01a-01-ts1.svs") as opened:
        assert len(opened._source.levels) == 2
        for x, y in [(3500, 1900), (3500, 200), (2000, 1500)]:
            fine = Image.fromarray(opened.read(x, y, 600, 600))
            half = np.asarray(fine.resize((300, 300), Image.Resampling.BILINEAR)).astype(int)
            ((_, batch),) = opened.read_tiles([[x, y, 600, 600]], 300)
            error = {
                step: np.abs(np.roll(half, step, axis=1)[:, 9:-9] - batch[0][:, 9:-9]).mean() for step in (-1, 0, 1)
            }
            assert 1.5 * error[0] < min(error[-1], error[1])
