"""The image that a section lies on: whether there is one, how large it is, and how to open it."""

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import HistoscribeError, ImageError
from .._keys import Keys, LibraryKeys
from ..io import SlideImage, open_image


def has_picture(adata: AnnData, library_id: str) -> bool:
    """Whether an image is linked to the section, or carried by it."""
    return can_open(adata, library_id) or LibraryKeys.LOWRES in _images(adata, library_id)


def can_open(adata: AnnData, library_id: str) -> bool:
    """Whether there is more than Space Ranger's small picture."""
    return _path(adata, library_id) is not None or LibraryKeys.HIRES in _images(adata, library_id)


def open_picture(adata: AnnData, library_id: str) -> SlideImage:
    """Open the linked image, else the small one that the section carries."""
    with warnings.catch_warnings():
        if _path(adata, library_id) is None:  # the small image is as good for a picture, and nothing is amiss
            warnings.filterwarnings("ignore", message=r".*images\['hires'\] is used", category=UserWarning)
        return open_image(adata, library_id=library_id)


def lowres(adata: AnnData, library_id: str) -> tuple[NDArray[Any], float]:
    """Space Ranger's small picture, and its pixels per full-resolution pixel: nothing to learn from, but to look at."""
    pixels = np.atleast_3d(np.asarray(_images(adata, library_id)[LibraryKeys.LOWRES]))
    factors = library_entry(adata, library_id).get(LibraryKeys.SCALEFACTORS, {})
    scale = float(factors.get(LibraryKeys.LOWRES_SCALE, np.nan))
    if not 0 < scale < np.inf:
        where = f"uns['spatial'][{library_id!r}]['scalefactors'][{LibraryKeys.LOWRES_SCALE!r}]"
        fix = "Set it: pixels of the image per full-resolution pixel."
        raise ImageError(where, found=repr(scale), expected="a positive number", fix=fix)
    return pixels, scale


def picture_size(adata: AnnData, library_id: str) -> tuple[float, float] | None:
    """Width and height in full-resolution pixels; None without an image, or with one that can't be read."""
    if not has_picture(adata, library_id):
        return None
    try:
        if not can_open(adata, library_id):
            pixels, scale = lowres(adata, library_id)
            return pixels.shape[1] / scale, pixels.shape[0] / scale
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # who draws the image says what is wrong with it
            with open_picture(adata, library_id) as image:
                return float(image.width), float(image.height)
    except HistoscribeError:
        return None


def library_entry(adata: AnnData, library_id: str) -> Mapping[str, Any]:
    """Return what ``uns["spatial"]`` says of a section; empty where it says nothing."""
    entry: Mapping[str, Any] = adata.uns.get(Keys.LIBRARIES, {}).get(library_id, {})
    return entry


def _images(adata: AnnData, library_id: str) -> Mapping[str, Any]:
    images: Mapping[str, Any] = library_entry(adata, library_id).get(LibraryKeys.IMAGES, {})
    return images


def _path(adata: AnnData, library_id: str) -> Any:
    return library_entry(adata, library_id).get(LibraryKeys.METADATA, {}).get(LibraryKeys.PATH)
