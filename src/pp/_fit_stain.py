"""Learn the stain of a slide from pixels of its tissue."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check, is_count
from .._types import check_types
from .._units import to_px
from .._warn import warn
from ..io import SlideImage, open_image
from ..io._colours import is_exchanged
from ..io._grid import grid, tissue_share
from ..io._tissue import section_tissue
from ..io.image._kind import check_rgb
from ._macenko import fit_macenko
from ._normalize_stain import is_stained, rgb_images
from ._reinhard import fit_reinhard
from ._stain import METHODS, Stain, made

_Pixels = NDArray[np.uint8]

_SIDE_UM, _SIDE_PX = 112.0, 224
_FINEST_UM = 1.0  # stains mix within coarser pixels; finer ones repeat each other
_N_TILES = 100
_MOST_LOOKED_AT = 4_000_000
_LEAST_STAINED = 100


def fit_stain(
    source: AnnData | NDArray[np.uint8] | str | Path,
    method: str = "macenko",
    *,
    library_id: str | None = None,
    background: float | Sequence[float] = 255.0,
    n_pixels: int = 500_000,
    random_state: int = 0,
) -> Stain:
    """Learn the stain of a slide: the colours of haematoxylin and eosin on it, or the spread of all its colours.

    Of a slide, up to 100 tiles of its tissue are read at 1 um per pixel or coarser, drawn at random; of tiles, all
    pixels. Unstained pixels (glass, black paint, grey dust) are left out. Fit it on a whole slide, or on many tiles of
    one: a single tile often shows one stain only.

    Parameters
    ----------
    source
        A section with a linked image, the path of an image, or 8-bit RGB pixels (rows, columns, 3) or
        (n, rows, columns, 3).
    method
        ``"macenko"`` separates two stains by their optical density; ``"reinhard"`` takes mean and spread of colours.
    library_id
        Section of the AnnData; needed if it has several.
    background
        Brightness of unstained glass, or its red, green and blue.
    n_pixels
        Most stained pixels to fit on.
    random_state
        Seed of which tiles and pixels.

    Returns
    -------
    The stain.

    Raises
    ------
    ImageError
        No image, or not one of 8-bit RGB.
    OptionError
        No such method.

    Warns
    -----
    UserWarning
        The pixels do not hold two stains that can be told apart: the result is marked ``degenerate``. Or red and blue
        appear exchanged.

    References
    ----------
    Macenko et al. 2009, ISBI, doi:10.1109/ISBI.2009.5193250.
    Reinhard et al. 2001, IEEE Comput. Graph. Appl., doi:10.1109/38.946629.

    Examples
    --------
    >>> stain = hs.pp.fit_stain(hs.datasets.her2st("B4"))
    >>> target = hs.pp.fit_stain(hs.datasets.her2st("C2"))
    >>> tiles, changed = hs.pp.normalize_stain(tiles, stain, target)
    """
    check_types(fit_stain, locals())
    check("method", method, method in METHODS, f"one of {list(METHODS)}")
    light = _brightness(background)
    check("n_pixels", n_pixels, is_count(n_pixels, _LEAST_STAINED), f"a whole number, {_LEAST_STAINED} or more")
    rng = np.random.default_rng(random_state)
    pixels = _pixels(source, library_id, rng)
    pixels = pixels[is_stained(pixels, light)]
    if not isinstance(source, AnnData) and is_exchanged(pixels):  # what is linked was looked at before
        msg = "red and blue appear exchanged, as cv2 reads them. If so, pass pixels[..., ::-1]."
        warn(msg)
    if len(pixels) > n_pixels:
        pixels = pixels[np.sort(rng.choice(len(pixels), n_pixels, replace=False))]
    fitted = None
    if len(pixels) >= _LEAST_STAINED:
        fitted = fit_macenko(pixels, light) if method == "macenko" else fit_reinhard(pixels)
    stain = made(method, light, len(pixels), fitted)
    _warn(stain)
    return stain


def _brightness(background: float | Sequence[float]) -> NDArray[np.float64]:
    """Red, green and blue of the glass."""
    value = np.asarray(background)
    fits = value.shape in ((), (3,)) and value.dtype.kind in "fiu" and bool(((value > 0) & (value <= 255)).all())
    check("background", background, fits, "a brightness above 0 and up to 255, or three")
    return np.broadcast_to(value, (3,)).astype(np.float64)


def _pixels(source: AnnData | _Pixels | str | Path, library_id: str | None, rng: np.random.Generator) -> _Pixels:
    if not isinstance(source, (AnnData, str, Path)):
        flat = rgb_images(source).reshape(-1, 3)
        return flat[:: 1 + len(flat) // _MOST_LOOKED_AT]
    with open_image(source, library_id=library_id) as image:
        check_rgb(image)
        return _of_tissue(image, rng)


def _of_tissue(image: SlideImage, rng: np.random.Generator) -> _Pixels:
    """Pixels (n, 3) of tiles drawn from the tissue."""
    mask, scale = section_tissue(image)
    side = float(to_px(_SIDE_UM, image.mpp)) if image.has_mpp else _SIDE_PX
    size = _SIDE_UM / max(_FINEST_UM, image.native_mpp) if image.has_mpp else _SIDE_PX / 2
    boxes, _ = grid(image.width, image.height, side)
    share = tissue_share(mask, boxes * scale)
    among = np.flatnonzero(share >= min(0.5, float(share.max()))) if share.any() else np.empty(0, dtype=np.intp)
    if not len(among):
        return np.empty((0, 3), dtype=np.uint8)
    drawn = np.sort(rng.permutation(among)[:_N_TILES])
    read = image.read_tiles(boxes[drawn], max(1, round(size)))
    parts = sorted(((int(i), tile) for rows, tiles in read for i, tile in zip(rows, tiles, strict=True)), key=_first)
    return np.concatenate([tile.reshape(-1, 3) for _, tile in parts])


def _first(item: tuple[int, _Pixels]) -> int:
    return item[0]


def _warn(stain: Stain) -> None:
    if stain.degenerate:
        msg = (
            f"no two stains could be told apart in {stain.n_pixels} stained pixels: the stain is marked degenerate, and "
            "normalize_stain changes nothing. Is it an H&E image? Look at hs.pl.spatial(adata)."
        )
        warn(msg)
