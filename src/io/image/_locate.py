"""The image that an AnnData's section belongs to: its linked file, else the small one it carries."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from ..._errors import ImageError, MissingError, ScaleError
from ..._keys import Keys, LibraryKeys
from ..._record import require
from ..._sections import library, metadata, sections
from ..._units import check_mpp
from ..._warn import warn
from .._paths import expanded, what_instead


@dataclass(frozen=True)
class Located:
    """Where a section's image is and how it lies in the frame of ``obsm["spatial"]``.

    Parameters
    ----------
    image
        Path, or pixels of ``images["hires"]``.
    scale
        Pixels of the image per pixel of the frame.
    mpp
        Micrometres per pixel of the frame; None where the section does not say.
    """

    image: Path | NDArray
    scale: float
    mpp: float | None


def locate_image(adata: AnnData, library_id: str | None) -> Located:
    """Find the image of a section: the linked path, relative to the AnnData's file or here; then ``hires``."""
    name = _library_id(adata, library_id)
    stated = metadata(adata, name)
    where = f"uns['spatial'][{name!r}]['metadata']"
    mpp = stated.get(LibraryKeys.MPP)
    if mpp is not None:
        mpp = check_mpp(mpp, source=f"{where}['mpp']", fix=f"Set adata.{where}['mpp'], or pass mpp=.")
    path = stated.get(LibraryKeys.PATH)
    tried = _candidates(adata, path) if path is not None else []
    for candidate in tried:
        if what_instead(candidate) is None:
            scale = stated.get(LibraryKeys.SCALE, 1.0)
            return Located(candidate, _positive(scale, f"{where}['image_scale']"), mpp)
    return _hires(adata, name, mpp, tried)


def _library_id(adata: AnnData, library_id: str | None) -> str:
    if library_id is not None:
        return library_id
    names = list(require(adata, Keys.LIBRARIES))
    if names and Keys.LIBRARY_ID in adata.obs:  # those of other sections stay in uns after a selection
        own = sections(adata)
        names = [name for name in names if name in own]
        if not names:
            library(adata, next(iter(own)))  # raises
    if len(names) != 1:
        raise MissingError(
            "library_id", found=f"{len(names)} sections: {names}", expected="one", fix="Pass library_id=, one of these."
        )
    return str(names[0])


def _candidates(adata: AnnData, path: Any) -> list[Path]:
    stated = expanded(str(path))
    if stated.is_absolute() or adata.filename is None:
        return [stated]
    return [Path(adata.filename).parent / stated, stated]


def _hires(adata: AnnData, name: str, mpp: float | None, tried: list[Path]) -> Located:
    entry = library(adata, name)
    image = entry.get(LibraryKeys.IMAGES, {}).get(LibraryKeys.HIRES)
    missing = f"no file at {' or '.join(map(str, tried))}" if tried else "no linked file"
    if image is None:
        fix = f"Set adata.uns['spatial'][{name!r}]['metadata']['source_image_path'], or open the image by its path."
        raise ImageError(
            f"image of {name!r}", found=f"{missing}, and no images['hires']", expected="one of them", fix=fix
        )
    factor = entry.get(LibraryKeys.SCALEFACTORS, {}).get(LibraryKeys.HIRES_SCALE)
    where = f"uns['spatial'][{name!r}]['scalefactors']['tissue_hires_scalef']"
    scale = _positive(factor, where)
    if tried or entry.get(LibraryKeys.METADATA, {}).get(LibraryKeys.SCALE) != scale:  # else hires is the linked image
        size = f"{mpp / scale:.3g} um per pixel" if mpp is not None else f"{scale:.3g} of full resolution, um unknown"
        warn(f"image of {name!r}: {missing}; images['hires'] is used ({size})")
    return Located(eight_bit(np.asarray(image)), scale, mpp)


def eight_bit(image: NDArray) -> NDArray:
    """Undo what matplotlib's reader, and so scanpy's, does to an 8-bit PNG: divide it by 255."""
    if image.dtype.kind == "f" and image.size and image.min() >= 0 and image.max() <= 1:
        return np.rint(image * 255).astype(np.uint8)
    return image


def _positive(scale: Any, where: str) -> float:
    value = float(scale) if isinstance(scale, (int, float, np.number)) else float("nan")
    if not 0 < value < float("inf"):
        fix = f"Set adata.{where}: pixels of the image per full-resolution pixel."
        raise ScaleError(where, found=repr(scale), expected="a positive number", fix=fix)
    return value
