"""What is said of the colours of an image when it is linked: other kinds than 8-bit RGB, red and blue exchanged."""

import numpy as np
from numpy.typing import NDArray

from .._units import spacing
from .image import SlideImage
from .image._kind import is_rgb, kind, way_to_rgb

_N_BOXES, _SIZE = 64, 32
_STAINED, _COLOURED = 0.15, 8  # mean optical density, and difference of channels, of a pixel of tissue
_LEAST_PIXELS = 2000
# Spread of the red density over that of the blue, and how much more red over blue counts where green counts most (eosin)
# than where it counts least. Haematoxylin takes red and little blue, eosin hardly any red: real H&E has 1.1 to 2.9 (two
# pink slides 0.5 and 0.75) and mostly 0.3 to 1; exchanging red and blue inverts both. Eosin alone has 0.4 and 0.2.
_EXCHANGED = ((0.5, 0.6), (0.85, 1.35))


def remark_on_colours(image: SlideImage, xy: NDArray[np.float64]) -> str | None:
    """Sentence on an image that encoders and stains will refuse, or whose red and blue seem exchanged; else None.

    Parameters
    ----------
    image
        The image, opened.
    xy
        Positions of spots (n, 2) in its frame: there it is looked at.
    """
    if not is_rgb(image):
        return (
            f"image {image.source}: {kind(image)}, linked as it is; but tissue, stains and encoders need 8-bit RGB. "
            f"{way_to_rgb(image)}"
        )
    if not is_exchanged(_sample(image, xy)):
        return None
    return (
        f"image {image.source}: red and blue appear exchanged, as cv2 reads them. If so, link the array in the right "
        "order: hs.io.link_image(adata, pixels[..., ::-1])."
    )


def is_exchanged(pixels: NDArray[np.uint8]) -> bool:
    """Whether pixels (n, 3) of an H&E image are far more likely blue, green, red than red, green, blue."""
    density = -np.log((pixels + 1.0) / 256)
    tissue = (density.mean(axis=1) > _STAINED) & (np.ptp(pixels, axis=1) >= _COLOURED)
    if tissue.sum() < _LEAST_PIXELS:
        return False
    density = density[tissue]
    spread = density.std(axis=0)
    ratio = spread[0] / max(spread[2], 1e-9)
    green = density[:, 1] / density.sum(axis=1)
    eosin, other = (
        density[part].sum(axis=0) for part in (green >= np.quantile(green, 0.9), green <= np.quantile(green, 0.1))
    )
    redder = eosin[0] * other[2] / max(eosin[2] * other[0], 1e-9)
    return any(ratio < most and redder > least for most, least in _EXCHANGED)


def _sample(image: SlideImage, xy: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Pixels (n, 3) of boxes around some of the positions."""
    inside = xy[(np.isfinite(xy) & (xy >= 0) & (xy < (image.width, image.height))).all(axis=1)]
    if not len(inside):
        return np.empty((0, 3), dtype=np.uint8)
    some = np.random.default_rng(0).permutation(inside)[:_N_BOXES]
    side = min(spacing(inside) or _SIZE, max(image.width, image.height) / 10)
    boxes = np.hstack([some - side / 2, np.full_like(some, side)])
    return np.concatenate([batch.reshape(-1, 3) for _, batch in image.read_tiles(boxes, _SIZE)])
