"""Give tiles of one slide the stain of another."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._checks import check
from .._errors import ImageError
from .._types import check_types
from ._macenko import STAINED, exchange, exchange_tables, exchanged, mean_density
from ._reinhard import transfer, transferred
from ._stain import STANDARD, Stain

_Pixels = NDArray[np.uint8]
_Colours = Callable[[_Pixels], NDArray[np.float32]]

_LEAST_COLOUR = 8  # of 255: below, a pixel is grey, and no stain is
_LEAST_SHARE = 1e-3  # of a tile: below, it is dust
_BLOCK = 1 << 16  # pixels at a time, so that they stay in the processor's cache


def normalize_stain(
    image: NDArray[np.uint8], stain: Stain, target: Stain | None = None, *, match_amounts: bool = True
) -> tuple[NDArray[np.uint8], Any]:
    """Recolour tiles of one slide as if they had been stained like another.

    White stays white: from the density at which a pixel counts as stained down to glass, the change fades out.

    Parameters
    ----------
    image
        8-bit RGB tiles (n, rows, columns, 3), or one (rows, columns, 3).
    stain
        Of the slide that they come from.
    target
        The stain to give them, fitted with the same method; None is a standard H&E stain. For Macenko these are the
        vectors and amounts that most implementations share; for Reinhard the colours of TCGA-A2-A3XS-DX1.
    match_amounts
        Macenko: whether the amount of either stain is scaled, too, so that its 99th percentile is the target's, as in
        the paper. Else colour alone changes, as in squidpy.

    Returns
    -------
    The tiles, recoloured, and whether each was changed (n,), or a bool for one. Tiles without stained pixels (glass,
    black or grey areas) are returned as they are, and so is every tile if the stain is degenerate.

    Raises
    ------
    ImageError
        The pixels are not 8-bit RGB.
    OptionError
        The target was fitted with another method, or is degenerate.

    References
    ----------
    Macenko et al. 2009, ISBI, doi:10.1109/ISBI.2009.5193250.
    Reinhard et al. 2001, IEEE Comput. Graph. Appl., doi:10.1109/38.946629.

    Examples
    --------
    >>> stain = hs.pp.fit_stain(tiles)
    >>> tiles, changed = hs.pp.normalize_stain(tiles, stain)
    """
    check_types(normalize_stain, {"stain": stain, "target": target, "match_amounts": match_amounts})
    fix = "Make it with hs.pp.fit_stain."
    check("stain", stain, isinstance(stain, Stain), "a Stain", fix=fix)
    goal = STANDARD[stain.method] if target is None else target
    fits = isinstance(goal, Stain) and goal.method == stain.method and not goal.degenerate
    check("target", target, fits, f"a Stain fitted with {stain.method!r} that is not degenerate", fix=fix)
    tiles = rgb_images(image)
    out, changed = tiles.copy(), np.zeros(len(tiles), dtype=bool)
    recolour = None if stain.degenerate else _recolouring(stain, goal, match_amounts=match_amounts)
    for i, tile in enumerate(out):
        changed[i] = recolour is not None and _recolour(tile.reshape(-1, 3), recolour, stain, goal)
    return (out, changed) if np.ndim(image) == 4 else (out[0], bool(changed[0]))


def _recolour(pixels: _Pixels, recolour: _Colours, stain: Stain, target: Stain) -> bool:
    """Recolour pixels (n, 3) in place, unless hardly any is stained: then leave them, and say so."""
    blocks = [pixels[start : start + _BLOCK] for start in range(0, len(pixels), _BLOCK)]
    n_stained = sum(int(is_stained(block, stain.background).sum()) for block in blocks)
    if n_stained < max(1, _LEAST_SHARE * len(pixels)):
        return False
    for block in blocks:
        block[:] = _faded(block, recolour(block), stain, target)
    return True


def rgb_images(image: Any) -> _Pixels:
    """Images (n, rows, columns, 3) of one or many, or an error that says what they are instead."""
    image = np.asarray(image)
    if image.dtype == np.uint8 and image.ndim in (3, 4) and image.shape[-1] == 3:
        return image if image.ndim == 4 else image[None]
    fix = "Read tiles with hs.io.open_image, or convert: 8 bit, alpha over white, the three channels last."
    found = f"shape {image.shape}, {image.dtype}"
    raise ImageError("image", found=found, expected="uint8 (rows, columns, 3) or (n, rows, columns, 3)", fix=fix)


def is_stained(pixels: _Pixels, background: Any) -> NDArray[np.bool_]:
    """Pixels (n, 3) that are dense enough and not grey."""
    red, green, blue = pixels.T
    colour = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return (mean_density(pixels, background) > STAINED) & (colour >= _LEAST_COLOUR)


def _recolouring(stain: Stain, target: Stain, *, match_amounts: bool) -> _Colours:
    if stain.method == "reinhard":
        matrix, shift = transfer(*((np.asarray(one.mean), np.asarray(one.std)) for one in (stain, target)))
        return lambda pixels: transferred(pixels, matrix, shift)
    ratio = np.asarray(target.amounts) / np.asarray(stain.amounts) if match_amounts else np.ones(2)
    matrix = exchange(np.asarray(stain.vectors), np.asarray(target.vectors), ratio)
    tables = exchange_tables(matrix, np.asarray(stain.background), np.asarray(target.background))
    return lambda pixels: exchanged(pixels, tables)


def _faded(pixels: _Pixels, new: NDArray[np.float32], stain: Stain, target: Stain) -> NDArray[np.uint8]:
    """Mix new colours with the old, relative to the glass: the less stained a pixel, the more of the old."""
    weight = np.clip(mean_density(pixels, stain.background) / np.float32(STAINED), 0, 1)[:, None]
    old = pixels.astype(np.float32)
    if target.background != stain.background:
        brighter = (np.asarray(target.background) + 1) / (np.asarray(stain.background) + 1)
        old = (old + 1) * brighter.astype(np.float32) - 1
    new -= old
    new *= weight
    new += old
    return np.rint(np.clip(new, 0, 255, out=new), out=new).astype(np.uint8)
