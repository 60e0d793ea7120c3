"""What kind of pixels an image has: many functions are made for 8-bit RGB alone."""

import numpy as np

from ..._errors import ImageError
from ._image import SlideImage


def is_rgb(image: SlideImage) -> bool:
    """Whether pixels are 8-bit RGB, which encoders and stains are made for."""
    return image.n_channels == 3 and image.dtype == np.uint8


def check_rgb(image: SlideImage, *, grey: bool = False) -> None:
    """Refuse any image but one of 8-bit RGB, or 8-bit grey where that will do; nothing is scaled or chosen by guess."""
    if is_rgb(image) or (grey and image.n_channels == 1 and image.dtype == np.uint8):
        return
    expected = "8-bit RGB or 8-bit grey" if grey else "8-bit RGB"
    raise ImageError(image.source, found=kind(image), expected=expected, fix=way_to_rgb(image))


def kind(image: SlideImage) -> str:
    """Say how many channels there are, and of which type."""
    return f"{image.n_channels} channel{'s' * (image.n_channels > 1)} of {image.dtype}"


def way_to_rgb(image: SlideImage) -> str:
    """Say what to do where 8-bit RGB is needed."""
    if image.n_channels == 2:
        return "Link the H&E image: hs.io.link_image(adata, path)."
    if image.n_channels == 3:
        do = "Scale by the range that you know: (pixels / largest * 255).clip(0, 255).astype(np.uint8)"
    elif image.n_channels == 1:
        do = "Link the colour image. To take grey for all three: np.repeat(pixels, 3, axis=2)"
    else:
        do = "Link the H&E image. Else choose three channels: pixels[..., [0, 1, 2]]"
    scaled = ", scaled to 0-255 as np.uint8" if image.dtype != np.uint8 and image.n_channels != 3 else ""
    return f"{do}{scaled}, and link that array: hs.io.link_image(adata, pixels)."
