"""The H&E of her2st C2, and slides made from it."""

import os
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

MPP = 0.5


def picture() -> Image.Image | None:
    """Open the picture, None where it is not there."""
    source = Path(os.environ.get("HISTOSCRIBE_DATA", "")) / "her2st/ST-imgs/C2/5714_HE_BT_C2.jpg"
    Image.MAX_IMAGE_PIXELS = 200_000_000  # of these processes alone: it has 92 million
    return Image.open(source).convert("RGB") if source.is_file() else None


def write_slide(path: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a TIFF of one level, in JPEG tiles of 256 px, at 0.5 um per pixel."""
    per_cm = (1e4 / MPP, 1e4 / MPP)
    with tifffile.TiffWriter(path, bigtiff=True) as tiff:
        tiff.write(
            pixels,
            tile=(256, 256),
            compression="jpeg",
            photometric="rgb",
            resolution=per_cm,
            resolutionunit=3,
        )
