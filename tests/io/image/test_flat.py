import hashlib
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from histoscribe._errors import ImageError
from histoscribe.io import open_image


def picture(height: int = 210, width: int = 310) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def over_white(image: Image.Image) -> NDArray:
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.convert("RGBA")
    image.putalpha(image.getchannel("G"))
    return image


PNGS = {
    "RGB": picture(),
    "L": picture().convert("L"),
    "RGBA": with_alpha(picture()),
    "LA": with_alpha(picture()).convert("LA"),
    "P": picture().quantize(50),
    "1": picture().convert("1"),
    "I;16": Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257),
}


@pytest.mark.parametrize("mode", PNGS)
def test_png_modes(tmp_path: Path, mode: str) -> None:
    image = PNGS[mode]
    image.save(tmp_path / "image.png")
    plain = {"1": image.convert("L"), "P": image.convert("RGB"), "I;16": image, "L": image}.get(mode)
    expected = over_white(image) if plain is None else np.asarray(plain)
    expected = expected[..., :1] if mode == "LA" else expected if expected.ndim == 3 else expected[..., None]
    with open_image(tmp_path / "image.png") as opened:
        found = opened.read(0, 0, 310, 210)
        assert (opened.n_channels, opened.dtype) == (expected.shape[2], expected.dtype)
        assert found.dtype == expected.dtype
        assert np.abs(found.astype(int) - expected).max() <= (1 if "A" in mode else 0)
        assert (opened.read(-20, -20, 10, 10) == (0 if mode == "I;16" else 255)).all()


def test_one_transparent_colour(tmp_path: Path) -> None:
    image = picture().quantize(20)
    image.save(tmp_path / "image.png", transparency=3)
    with Image.open(tmp_path / "image.png") as stored:
        expected = over_white(stored)
    with open_image(tmp_path / "image.png") as opened:
        np.testing.assert_array_equal(opened.read(0, 0, 310, 210), expected)
    assert (expected[np.asarray(image) == 3] == 255).all()


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_equals_pillow(tmp_path: Path, mode: str) -> None:
    picture(1100, 310).convert(mode).save(tmp_path / "image.jpg")
    with Image.open(tmp_path / "image.jpg") as stored:
        expected = np.asarray(stored).reshape(1100, 310, -1)
    with open_image(tmp_path / "image.jpg") as opened:
        np.testing.assert_array_equal(opened.read(0, 0, 310, 1100), expected)
        np.testing.assert_array_equal(opened.read(33, 500, 70, 90), expected[500:590, 33:103])


def test_a_jpeg_is_decoded_once_and_only_as_large_as_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture(1100, 900).save(tmp_path / "image.jpg")
    loaded: list[tuple[int, int]] = []
    file_load = ImageFile.ImageFile.load

    def counting_file(image: ImageFile.ImageFile) -> object:
        if image.tile:
            loaded.append(image.size)
        return file_load(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load", counting_file)
    with open_image(tmp_path / "image.jpg") as opened:
        boxes = np.random.default_rng(0).uniform(0, 700, (300, 4)) * [1, 1, 0, 0] + [0, 0, 200, 200]
        list(opened.read_tiles(boxes, 50))
        opened.read(0, 0, 80, 80, mpp=None)
        opened.read(300, 100, 80, 80)
    assert loaded == [(225, 275), (900, 1100)]


def test_pictures_of_ninety_megapixels_open_silently(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("image.png", "image.jpg"):
        picture().save(tmp_path / name)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 60_000)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with open_image(tmp_path / name) as opened:
                opened.read(0, 0, 9, 9)
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30_000)
        with pytest.raises(ImageError, match=rf"{name}.*tiled pyramid"):
            open_image(tmp_path / name)
        assert Image.MAX_IMAGE_PIXELS == 30_000


@pytest.mark.parametrize("name", ["image.png", "image.jpg"])
def test_truncated_files_are_never_half_an_image(tmp_path: Path, name: str) -> None:
    picture().save(tmp_path / name)
    whole = (tmp_path / name).read_bytes()
    with open_image(tmp_path / name) as opened:
        expected = opened.read(0, 0, 310, 210)
    complete = 0
    named: list[bool] = []
    for share in np.linspace(0.01, 0.999, 40):
        (tmp_path / name).write_bytes(whole[: int(len(whole) * share)])
        try:
            with open_image(tmp_path / name) as opened:
                found = opened.read(0, 0, 310, 210)
        except ImageError as error:
            named.append(name in str(error))
        else:
            complete += 1
            np.testing.assert_array_equal(found, expected)
    assert complete <= 2  # cut behind the pixels
    assert all(named)


def test_cmyk_and_deep_colour_are_refused(tmp_path: Path) -> None:
    import imagecodecs

    picture().convert("CMYK").save(tmp_path / "cmyk.jpg")
    with pytest.raises(ImageError, match=r"cmyk\.jpg.*colour model CMYK.*Convert"):
        open_image(tmp_path / "cmyk.jpg")
    (tmp_path / "deep.png").write_bytes(imagecodecs.png_encode(np.zeros((20, 30, 3), dtype=np.uint16)))
    with pytest.raises(ImageError, match=r"deep\.png.*16-bit colour.*Convert"):
        open_image(tmp_path / "deep.png")


def test_resolution_of_a_jpeg_is_nobodys_scale(tmp_path: Path) -> None:
    picture().save(tmp_path / "image.jpg", dpi=(50_800, 50_800))  # 0.5 um, were it believed
    with open_image(tmp_path / "image.jpg") as opened:
        assert not opened.has_mpp


def test_real_section(data: Path) -> None:
    path = data / "her2st" / "ST-imgs" / "C2" / "5714_HE_BT_C2.jpg"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        stored = Image.open(path)
    with stored, open_image(path, mpp=0.735) as opened:
        stored.draft("RGB", (stored.width // 8, stored.height // 8))
        small = np.asarray(stored)
        found, factor = opened.thumbnail(1000)
        size = found.shape[1::-1]
        box = (0, 0, size[0] / factor / 8, size[1] / factor / 8)
        reference = np.asarray(Image.fromarray(small).resize(size, Image.Resampling.BILINEAR, box=box))
        assert factor == 1000 / max(opened.width, opened.height)
        assert np.abs(found.astype(int) - reference).mean() < 1
        assert opened.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
