"""A thousand random ways from a spot to its pixels, through the public functions alone, on images painted to show it.

Each spot is a disc of a colour of its own. Wherever rotation, mirror, shear, scale, crop, pyramid and format put it, its
patch must show its colour at its centre, and the disc's centre must lie within half a pixel of the patch's centre: half a
pixel of the patch, and half a pixel of what it is read from, which is the linked image or, in a pyramid, the level.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
from anndata import AnnData
from numpy.typing import NDArray
from PIL import Image

import histoscribe as hs

from .marks import weekly

pytestmark = pytest.mark.filterwarnings("ignore:.*red and blue appear exchanged:UserWarning")  # these are no stains

N_CASES, N_ENCODED = 1000, 20
FORMATS = ("array", "png", "tiff", "tiled tiff", "ome-tiff pyramid, odd", "ome-tiff pyramid, cut")
MOTIONS = ("rigid", "similarity", "affine", "mirrored affine")
RADIUS = 8.0  # of a disc, pixels of the linked image
APART = 44  # between discs: no patch shows two


@dataclass
class Case:
    """What one case draws at random."""

    motion: str
    format: str
    matrix: NDArray[np.float64]  # from the source frame to the frame of the image
    pixels: NDArray[np.uint8]
    xy: NDArray[np.float64]  # discs, in the frame of the image
    colours: NDArray[np.float64]
    mpp: float
    image_scale: float
    side: float  # of a patch, full-resolution pixels
    size: int  # of a patch, pixels
    n_wrong: int  # landmarks that are

    @property
    def step(self) -> float:
        """Pixels of the linked image to a pixel of the patch."""
        return self.side * self.image_scale / self.size

    @property
    def level(self) -> int:
        """Pixels of the linked image to a pixel of the coarsest level that is fine enough."""
        return 2 if "pyramid" in self.format and self.step >= 2 else 1


def cases(n: int = N_CASES, *, file_format: str | None = None) -> Iterator[tuple[int, Case]]:
    for k in range(n):
        motion, own = MOTIONS[k % 4], FORMATS[k // 4 % 6]
        if file_format in (None, own):
            yield k, draw(np.random.default_rng([7, k]), motion, own)


def draw(rng: np.random.Generator, motion: str, file_format: str) -> Case:
    width, height = rng.integers(131, 257, 2) | 1  # odd: no level of a pyramid is exactly half
    scale = 1.0 if rng.random() < 0.5 else float(rng.uniform(0.3, 1))
    gaps = [np.arange(RADIUS + 2, end - RADIUS - 2, APART) for end in (width, height)]
    grid = np.stack(np.meshgrid(*gaps), axis=-1).reshape(-1, 2)
    room = np.array([end - RADIUS - 2 - gap[-1] for end, gap in zip((width, height), gaps, strict=True)])
    at = grid + rng.uniform(0, 1, (len(grid), 2)) * np.minimum(room, APART - 2 * RADIUS - 24)
    colours = (rng.permutation(6**3)[: len(at), None] // (36, 6, 1) % 6 * 30).astype(float)  # none above 150
    side = rng.uniform(2 * RADIUS + 6, 2 * RADIUS + 24)  # pixels of the image; reaches over its border
    return Case(
        motion=motion,
        format=file_format,
        matrix=_matrix(rng, motion),
        pixels=paint(int(width), int(height), at, colours),
        xy=at / scale,
        colours=colours,
        mpp=float(rng.uniform(0.2, 4)),
        image_scale=scale,
        side=float(side / scale),
        size=round(side / rng.choice([0.6, 1.0, 1.0, 1.7, 2.6])),
        n_wrong=int(rng.choice([0, 0, 0, 2])),
    )


def _matrix(rng: np.random.Generator, motion: str) -> NDArray[np.float64]:
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    stretch = np.eye(2)
    if motion == "similarity":
        stretch *= rng.uniform(0.05, 20)
    elif motion != "rigid":
        stretch = np.diag(rng.uniform(0.1, 10, 2)) @ [[1, rng.uniform(-0.6, 0.6)], [0, 1]]
    matrix = np.eye(3)
    matrix[:2, :2] = turn @ stretch @ np.diag([-1 if motion == "mirrored affine" else 1, 1])
    matrix[:2, 2] = rng.uniform(-500, 500, 2)
    return matrix


def paint(width: int, height: int, at: NDArray[np.float64], colours: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Discs on white; pixel i covers [i, i + 1), and what a disc covers of a pixel is found at 8 x 8 places in it."""
    canvas = np.full((height, width, 3), 255.0)
    reach = int(RADIUS) + 2
    for (x, y), colour in zip(at, colours, strict=True):
        left, top = int(x) - reach, int(y) - reach
        fine = (np.arange(2 * reach * 8) + 0.5) / 8
        inside = np.hypot(fine[None, :] + left - x, fine[:, None] + top - y) < RADIUS
        cover = inside.reshape(2 * reach, 8, 2 * reach, 8).mean(axis=(1, 3))
        rows = slice(max(top, 0), min(top + 2 * reach, height))
        columns = slice(max(left, 0), min(left + 2 * reach, width))
        part = cover[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left, None]
        canvas[rows, columns] += part * (colour - 255)
    return canvas.round().astype(np.uint8)


def save(case: Case, path: Path) -> Path | NDArray[np.uint8]:
    if case.format == "array":
        return case.pixels
    if case.format == "png":
        Image.fromarray(case.pixels).save(path := path.with_suffix(".png"), compress_level=1)
    elif case.format == "tiff":
        tifffile.imwrite(path := path.with_suffix(".tif"), case.pixels, rowsperstrip=16)
    elif case.format == "tiled tiff":
        tifffile.imwrite(path := path.with_suffix(".tif"), case.pixels, tile=(64, 48), compression="zlib")
    else:
        _pyramid(case, path := path.with_suffix(".ome.tif"))
    return path


def _pyramid(case: Case, path: Path) -> None:
    """Three levels, each pixel the mean of 2 x 2 finer ones; the last, half ones are kept or cut off."""
    levels = [case.pixels]
    for _ in range(2):
        finer = levels[-1].astype(float)
        odd = [n % 2 for n in finer.shape[:2]]
        if case.format.endswith("odd"):
            finer = np.pad(finer, ((0, odd[0]), (0, odd[1]), (0, 0)), mode="edge")
        else:
            finer = finer[: finer.shape[0] - odd[0], : finer.shape[1] - odd[1]]
        rows, columns = finer.shape[0] // 2, finer.shape[1] // 2
        levels.append(finer.reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3)).round().astype(np.uint8))
    with tifffile.TiffWriter(path, ome=True) as tiff:
        tiff.write(levels[0], subifds=2, metadata={"axes": "YXS"}, photometric="rgb", tile=(64, 64))
        for level in levels[1:]:
            tiff.write(level, subfiletype=1, photometric="rgb", tile=(64, 64))


def registered(case: Case, path: Path, *, displaced: float = 0.0) -> AnnData:
    """Section whose positions come from another frame: landmarks, affine, image, tiles; by public functions."""
    rng = np.random.default_rng(0)
    there = np.linalg.inv(case.matrix)
    adata = AnnData(np.ones((len(case.xy), 1), dtype=np.float32))
    adata.obsm["spatial"] = (case.xy + displaced) @ there[:2, :2].T + there[:2, 2]
    target = rng.uniform(0, 300, (9, 2))
    source = target @ there[:2, :2].T + there[:2, 2]
    target[: case.n_wrong] += rng.uniform(60, 90, (case.n_wrong, 2))
    kind = case.motion.removeprefix("mirrored ")
    matrix = hs.pp.fit_affine(source, target, kind=kind, robust=case.n_wrong > 0, threshold=0.5)  # type: ignore[arg-type]
    hs.pp.align_affine(adata, matrix)
    hs.io.link_image(adata, save(case, path), mpp=case.mpp, image_scale=case.image_scale)
    hs.pp.tile(adata, size_um=case.side * case.mpp)
    return adata


def patches(adata: AnnData, size: int) -> NDArray[np.uint8]:
    out = np.empty((adata.n_obs, size, size, 3), dtype=np.uint8)
    with hs.io.open_image(adata) as image:
        for rows, batch in image.read_tiles(adata.obsm["tiles"], size):
            out[rows] = batch
    return out


def errors(case: Case, shown: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Distance of each disc's centre from its patch's centre: in pixels of the patch, and of what it is read from."""
    missing = 255.0 - case.colours
    cover = np.einsum("nijc,nc->nij", 255.0 - shown, missing) / (missing**2).sum(axis=1)[:, None, None]
    place = np.arange(case.size) + 0.5
    total = cover.sum(axis=(1, 2))
    x, y = (cover.sum(axis=axis) @ place / total - case.size / 2 for axis in (1, 2))
    distance = np.hypot(x, y)
    return np.stack([distance, distance * case.step / case.level], axis=1)


def own_colour(case: Case, shown: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Whether the centre of each patch is nearer to its spot's colour than to any other spot's, and near it."""
    middle = shown[:, case.size // 2, case.size // 2].astype(float)
    distance = np.abs(middle[:, None] - case.colours[None]).max(axis=2)
    return (distance.argmin(axis=1) == np.arange(len(middle))) & (distance.min(axis=1) <= 3)


@pytest.mark.parametrize("n_cases", [96, *weekly(N_CASES)])
@pytest.mark.parametrize("file_format", FORMATS)
def test_every_patch_shows_its_own_spot_at_its_centre(file_format: str, n_cases: int, tmp_path: Path) -> None:
    n = 0
    for k, case in cases(n_cases, file_format=file_format):
        shown = patches(registered(case, tmp_path / "slide"), case.size)
        assert own_colour(case, shown).all(), k
        assert errors(case, shown).max() <= 0.5, k
        n += 1
    assert n > 0.95 * n_cases / len(FORMATS)


def test_encoders_see_the_same_patches(tmp_path: Path) -> None:
    for _, case in cases(N_ENCODED):
        adata = registered(case, tmp_path / "slide")
        hs.pp.tile(adata, size_um=RADIUS / case.image_scale * case.mpp)  # within the disc
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".* um per pixel", category=UserWarning)  # images are small
            hs.tl.encode_image(adata, "mean_rgb")
        np.testing.assert_allclose(adata.obsm["X_image"], case.colours / 255, atol=0.012)


@pytest.mark.parametrize("pixels", [0.5, *weekly(1.0)])
@pytest.mark.parametrize("file_format", FORMATS[:4])
def test_a_shift_of_half_a_pixel_is_seen(file_format: str, pixels: float, tmp_path: Path) -> None:
    for _, case in cases(96, file_format=file_format):
        shift = pixels / case.image_scale  # along x and along y, in pixels of the linked image
        shown = patches(registered(case, tmp_path / "slide", displaced=shift), case.size)
        seen = errors(case, shown)[:, 1]
        np.testing.assert_allclose(seen, pixels * 2**0.5, atol=0.05)
        assert (seen > 0.5).all()


def test_mirrored_positions_show_another_spot(tmp_path: Path) -> None:
    case = next(one for _, one in cases(24) if len(one.xy) > 8)
    case.xy = case.xy[::-1]
    assert not own_colour(case, patches(registered(case, tmp_path / "slide"), case.size))[:-1].any()
