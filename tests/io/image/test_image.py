import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from histoscribe._errors import FileError, ImageError, OptionError, ScaleError
from histoscribe.io import SlideImage, open_image

WIDTH, HEIGHT = 640, 500


def painted() -> NDArray:
    coarse = np.random.default_rng(0).integers(0, 256, (20, 25, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))


IMAGE = painted()


def as_tiff(path: Path) -> Path:
    tifffile.imwrite(path / "a.tif", IMAGE, photometric="rgb", tile=(128, 96), compression="zlib")
    return path / "a.tif"


def as_png(path: Path) -> Path:
    Image.fromarray(IMAGE).save(path / "a.png")
    return path / "a.png"


def as_jpeg(path: Path) -> Path:
    Image.fromarray(IMAGE).save(path / "a.jpg", quality=98, subsampling=0)
    return path / "a.jpg"


def as_spatialdata(path: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what spatialdata's dependencies say at import
        from spatialdata.models import Image2DModel
    return Image2DModel.parse(np.moveaxis(IMAGE, -1, 0), dims=("c", "y", "x"), chunks={"c": 3, "y": 70, "x": 111})


SOURCES = [(as_tiff, 0), (as_png, 0), (as_spatialdata, 0), (as_jpeg, 4)]


def gathered(image: SlideImage, boxes: NDArray, size: int) -> NDArray:
    out = np.zeros((len(boxes), size, size, image.n_channels), dtype=image.dtype)
    seen: list[int] = []
    for rows, batch in image.read_tiles(boxes, size):
        assert batch.shape == (len(rows), size, size, image.n_channels)
        out[rows] = batch
        seen.extend(rows.tolist())
    assert sorted(seen) == list(range(len(boxes)))
    return out


@pytest.mark.parametrize(("make", "tolerance"), SOURCES)
def test_whole_pixels_equal_a_loop_of_crops(tmp_path: Path, make: Callable[[Path], Any], tolerance: int) -> None:
    padded = np.full((HEIGHT + 200, WIDTH + 200, 3), 255, dtype=np.uint8)
    padded[100:-100, 100:-100] = IMAGE
    corner = np.random.default_rng(1).integers(-90, [WIDTH + 20, HEIGHT + 20], (150, 2))
    expected = np.array([padded[y + 100 : y + 164, x + 100 : x + 164] for x, y in corner])
    with open_image(make(tmp_path)) as image:
        found = gathered(image, np.hstack([corner, np.full((150, 2), 64)]), 64)
    assert np.abs(found.astype(int) - expected).mean() <= tolerance / 2
    if not tolerance:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(("make", "tolerance"), SOURCES)
def test_all_sources_give_the_same_patches(tmp_path: Path, make: Callable[[Path], Any], tolerance: int) -> None:
    rng = np.random.default_rng(2)
    boxes = np.hstack([rng.uniform(-40, [WIDTH, HEIGHT], (80, 2)), rng.uniform(20, 150, (80, 2))])
    expected = gathered(open_image(IMAGE), boxes, 56)
    with open_image(make(tmp_path)) as image:
        found = gathered(image, boxes, 56)
        single = np.array([image.read(x, y, w, h).shape for x, y, w, h in boxes[:5]])
    difference = np.abs(found.astype(int) - expected)
    assert difference.mean() <= tolerance / 4 + 0.01
    assert difference.max() <= (1 if not tolerance else 60)
    np.testing.assert_array_equal(single[:, :2], np.rint(boxes[:5, [3, 2]]))


def test_read_and_read_tiles_agree() -> None:
    image = open_image(IMAGE, mpp=0.5)
    rng = np.random.default_rng(3)
    boxes = np.hstack([rng.uniform(-20, 500, (20, 2)), np.full((20, 2), 80.0)])
    for box, tile in zip(boxes, gathered(image, boxes, 40), strict=True):
        np.testing.assert_array_equal(image.read(*box, mpp=1.0), tile)


def test_neighbours_at_the_edges_of_a_patch_are_real() -> None:
    """Two halves put together are the whole."""
    image = open_image(IMAGE)
    whole = gathered(image, np.array([[100.3, 50.6, 300, 300]]), 100)[0]
    corner = np.array([[x, y] for y in (50.6, 200.6) for x in (100.3, 250.3)])
    parts = gathered(image, np.hstack([corner, np.full((4, 2), 150.0)]), 50)
    joined = np.vstack([np.hstack([parts[0], parts[1]]), np.hstack([parts[2], parts[3]])])
    assert np.abs(joined.astype(int) - whole).max() <= 1


def test_thumbnail() -> None:
    image = open_image(IMAGE)
    small, factor = image.thumbnail(100)
    assert (small.shape, factor) == ((78, 100, 3), 100 / WIDTH)
    expected = Image.fromarray(IMAGE).resize((100, 78), Image.Resampling.BILINEAR, box=(0, 0, WIDTH, 78 / factor))
    assert np.abs(small.astype(int) - np.asarray(expected)).max() <= 1
    same, factor = image.thumbnail()
    assert factor == 1
    np.testing.assert_array_equal(same, IMAGE)
    assert image.thumbnail(1)[0].shape == (1, 1, 3)


def test_reading_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    boxes = np.hstack([np.random.default_rng(0).uniform(0, 400, (200, 2)), np.full((200, 2), 77.7)])
    with open_image(as_tiff(tmp_path)) as image:
        first, second = (
            [(rows.tobytes(), batch.tobytes()) for rows, batch in image.read_tiles(boxes, 50)] for _ in "12"
        )
    assert first == second


def test_no_boxes_no_tiles() -> None:
    assert list(open_image(IMAGE).read_tiles(np.empty((0, 4)), 9)) == []


@pytest.mark.parametrize(
    ("boxes", "found"),
    [
        ([[0, 0, 10]], r"shape \(1, 3\)"),
        ([0, 0, 10, 10], r"shape \(4,\)"),
        ([[0, 0, 5, 5], [0, np.nan, 10, 10]], "row 1"),
        ([[0, 0, np.inf, 10]], "row 0"),
        ([[0, 0, 0, 10]], "row 0"),
        ([[0, 0, 10, -1]], "row 0"),
    ],
)
def test_wrong_boxes_are_refused_at_once(boxes: Any, found: str) -> None:
    with pytest.raises(OptionError, match=rf"boxes.*{found}"):
        open_image(IMAGE).read_tiles(boxes, 10)


def test_wrong_sizes_are_refused() -> None:
    image = open_image(IMAGE)
    with pytest.raises(OptionError, match="size"):
        image.read_tiles([[0, 0, 5, 5]], 0)
    with pytest.raises(OptionError, match="max_size"):
        image.thumbnail(0)
    with pytest.raises(OptionError, match="positive w, h"):
        image.read(0, 0, 0, 10)
    with pytest.raises(ScaleError, match="mpp"):
        image.read(0, 0, 5, 5, mpp=0.5)  # that of the image is not known


def tagged(path: Path, **options: Any) -> Path:
    tifffile.imwrite(path / "tagged.ome.tif" if options.get("ome") else path / "tagged.tif", IMAGE, **options)
    return path / ("tagged.ome.tif" if options.get("ome") else "tagged.tif")


def aperio(text: str) -> dict[str, Any]:
    return {"description": f"Aperio Image Library v11\n640x500|{text}", "metadata": None}


def ome(x: float, y: float, unit: str) -> dict[str, Any]:
    sizes = {"PhysicalSizeX": x, "PhysicalSizeY": y, "PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    return {"ome": True, "metadata": {"axes": "YXS", **sizes}}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (aperio("AppMag = 20|MPP = 0.4990|Left = 3"), 0.499),
        ({"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
        (ome(0.325, 0.325, "µm"), 0.325),
        (ome(325, 326, "nm"), 0.3255),
        ({**ome(0.325, 0.325, "µm"), "resolution": (20_000, 20_000), "resolutionunit": 3}, 0.325),
        ({**aperio("MPP = 400"), "resolution": (20_000, 20_000), "resolutionunit": 3}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (1, 1), "resolutionunit": "CENTIMETER"}, None),
        ({"resolution": (2, 2), "resolutionunit": "NONE"}, None),
        (ome(1, 1, "pixel"), None),
        ({}, None),
    ],
)
def test_micrometres_per_pixel_of_tiffs(tmp_path: Path, options: dict[str, Any], expected: float | None) -> None:
    path = tagged(tmp_path, photometric="rgb", **options)
    with open_image(path) as image:
        assert image.has_mpp == (expected is not None)
        if expected is not None:
            assert image.mpp == pytest.approx(expected)
        else:
            with pytest.raises(ScaleError, match=r"tagged.*OME-XML, Aperio.*TIFF resolution tags.*Pass mpp="):
                _ = image.mpp
    with open_image(path, mpp=0.7) as image:
        assert image.mpp == 0.7


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    path = tagged(tmp_path, photometric="rgb", resolution=(20_000, 21_000), resolutionunit=3)
    with pytest.raises(ScaleError, match=r"0\.5 in x and 0\.476.* in y.*resolution tags"):
        open_image(path)
    assert open_image(path, mpp=0.5).mpp == 0.5


@pytest.mark.parametrize("mpp", [0, -0.5, 352.8, float("nan")])
def test_implausible_argument(mpp: Any) -> None:
    with pytest.raises(ScaleError, match="the argument mpp"):
        open_image(IMAGE, mpp=mpp)


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "slide.mrxs").write_bytes(b"something else")
    (tmp_path / "empty.tif").touch()
    (tmp_path / "short.tif").write_bytes(b"II*\0\x08\0")
    cases: list[tuple[Path, type[Exception], str]] = [
        (tmp_path / "nothing.tif", FileError, "nothing.tif.*found nothing"),
        (tmp_path, FileError, "a folder.*spatialdata"),
        (tmp_path / "slide.mrxs", ImageError, "slide.mrxs.*TIFF, SVS, NDPI, JPEG or PNG"),
        (tmp_path / "empty.tif", ImageError, "empty.tif"),
        (tmp_path / "short.tif", ImageError, "short.tif"),
    ]
    for path, kind, message in cases:
        for given in (path, str(path)):
            with pytest.raises(kind, match=message):
                open_image(given)


def test_unusual_names(tmp_path: Path) -> None:
    folder = tmp_path / "schöne Schnitte №1"
    folder.mkdir()
    for make in (as_tiff, as_jpeg):
        with open_image(make(folder)) as image:
            assert image.source == str(make(folder))
            image.read(0, 0, 5, 5)


@pytest.mark.parametrize("make", [as_tiff, as_jpeg, lambda _: IMAGE])
def test_closed_images_are_not_read(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    with open_image(make(tmp_path)) as image:
        tiles = image.read_tiles([[0, 0, 9, 9]], 9)
    for read in (
        lambda: image.read(0, 0, 5, 5),
        lambda: image.thumbnail(),
        lambda: image.read_tiles([[0, 0, 9, 9]], 9),
    ):
        with pytest.raises(ImageError, match="closed"):
            read()
    if make is as_tiff:
        with pytest.raises(ImageError, match=r"a\.tif"):
            next(tiles)
    image.close()


def test_files_are_closed_when_forgotten(tmp_path: Path) -> None:
    image = open_image(as_tiff(tmp_path))
    file = image._source.close.__self__  # type: ignore[attr-defined]
    del image
    assert file.filehandle.closed


def test_sha256_is_that_of_the_file(tmp_path: Path) -> None:
    path = as_tiff(tmp_path)
    with open_image(path) as image:
        assert image.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert repr(image).startswith("SlideImage(")
