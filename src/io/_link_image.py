"""Image and scale for an AnnData that another reader made."""

import logging
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, OptionError, ScaleError
from .._keys import Keys, LibraryKeys, slug
from .._record import Targets, has, write
from .._sections import positions, sections
from .._units import check_mpp, spacing
from ._lattice import VISIUM_STEP_UM, apart, is_hexagonal, lattice_mpp
from ._link import (
    HIRES_PX,
    SCALES,
    as_uint8_rgb,
    check_inside,
    check_scale,
    check_size,
    given_mpp,
    keep_array,
    single,
)
from ._text import existing
from .image import open_image

log = logging.getLogger("histoscribe")


@dataclass(frozen=True)
class _Linked:
    """An image in the frame of the positions, and what it adds to the section's entry."""

    width: float
    height: float
    scale: float
    mpp: float | None = None  # of a full-resolution pixel, by the image's own metadata
    images: dict[str, Any] = field(default_factory=dict)
    factors: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)


def link_image(
    adata: AnnData,
    image: str | Path | NDArray[Any] | None = None,
    *,
    mpp: float | None = None,
    image_scale: float = 1.0,
    library_id: str | None = None,
    copy: bool = False,
) -> AnnData | None:
    """Give an AnnData that scanpy, squidpy or others read what histoscribe needs: a linked image and a scale.

    What ``uns["spatial"]`` already holds is kept; what is missing is made: the section's entry, the small picture for
    plots, scale factors, spot diameter, and ``obs["library_id"]``.

    Parameters
    ----------
    adata
        Section or sections with ``obsm["spatial"]``.
    image
        Image that the positions refer to: a path, an array, or ``"hires"`` or ``"lowres"`` for the picture that
        ``uns["spatial"]`` holds. None to set the scale alone.
    mpp
        Micrometres per full-resolution pixel. By default that of the image's metadata; else by the array, if
        ``array_row`` and ``array_col`` are those of Visium (100 um between spots); else what ``uns`` says.
    image_scale
        Pixels of ``image`` per full-resolution pixel; of ``"hires"`` and ``"lowres"`` it is the scale factor.
    library_id
        Section that the image shows; needed if there are several.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes the section's entry of ``uns["spatial"]`` and, where it is missing, ``obs["library_id"]``.

    Raises
    ------
    ScaleError
        Nothing says how large a pixel is.
    ImageError
        More than a tenth of the spots lie outside the image, or its size is not what the small pictures say.
    MissingError
        There are several sections and none is named, or the picture named is not there.
    OptionError
        A scale contradicts the scale factor of ``uns``, or ``"lowres"`` would replace ``images["hires"]``.

    Examples
    --------
    >>> adata = sc.read_h5ad("visium.h5ad")
    >>> hs.io.link_image(adata, "he_fullres.tif")
    >>> hs.pp.tile(adata)
    """
    single(adata, fix="Link one at a time: each has its own image.")
    given, image_scale = given_mpp(mpp), check_scale(image_scale)
    targets = Targets(adata, copy=copy)
    for one in targets:
        name, rows = _section(one, library_id)
        xy = positions(one)[rows]
        old = one.uns.get(Keys.LIBRARIES, {}).get(name, {})
        linked = None if image is None else _linked(old, image, image_scale, given)
        if linked is not None:
            check_inside(xy * linked.scale, linked.width, linked.height)
        known = old.get(LibraryKeys.METADATA, {}).get(LibraryKeys.MPP)
        found = _scale(name, given, linked, _by_array(one, rows, name), known)
        if has(one, Keys.TILES) and known != found:
            log.warning("%s: the scale has changed and obsm['tiles'] has not: run hs.pp.tile(adata) again", name)
        outputs = {Keys.LIBRARIES: {**one.uns.get(Keys.LIBRARIES, {}), name: _entry(old, linked, xy, found)}}
        if not has(one, Keys.LIBRARY_ID):
            outputs[Keys.LIBRARY_ID] = pd.Categorical([name] * one.n_obs)
        said = image if image is None or isinstance(image, (str, Path)) else type(image).__name__
        params = {"image": said, "mpp": found, "image_scale": linked and linked.scale, "library_id": name}
        write(one, outputs, by="io.link_image", params=params, inputs=[Keys.SPATIAL])
    return targets.result()


def _section(adata: AnnData, library_id: str | None) -> tuple[str, NDArray[np.intp]]:
    """Name and rows of the section; an AnnData that names none is one section."""
    named = list(adata.uns.get(Keys.LIBRARIES, {}))
    if not has(adata, Keys.LIBRARY_ID):
        if len(named) > 1:
            fix = "Set adata.obs['library_id'] first, or remove the other libraries."
            raise MissingError("obs['library_id']", found=f"nothing, and {named} in uns", expected="one", fix=fix)
        if not named:
            return slug(library_id or "section"), np.arange(adata.n_obs)
    groups = sections(adata)
    name = next(iter(groups)) if library_id is None and len(groups) == 1 else library_id
    if name not in groups:
        expected = f"one of {list(groups)}"
        raise MissingError("library_id", found=repr(library_id), expected=expected, fix="Pass library_id=.")
    return name, groups[name]


def _linked(old: Mapping[str, Any], image: Any, scale: float, mpp: float | None) -> _Linked:
    pictures = old.get(LibraryKeys.IMAGES, {})
    factors = old.get(LibraryKeys.SCALEFACTORS, {})
    if isinstance(image, str) and image in SCALES:
        return _picture(pictures, factors, image, scale)
    if isinstance(image, (str, Path)):
        return _file(existing(image, argument="image").resolve(), scale, pictures, factors)
    with open_image(image):  # raises where it is no image
        kept, images = keep_array(image, mpp=None if mpp is None else mpp / scale)
    if kept is not None:
        return _file(kept, scale, pictures, factors)
    height, width = image.shape[:2]
    check_size("image", (width / scale, height / scale), pictures, factors)
    return _Linked(width, height, scale, images=images, factors={LibraryKeys.HIRES_SCALE: scale})


def _picture(pictures: Mapping[str, Any], factors: Mapping[str, Any], name: str, scale: float) -> _Linked:
    """Make the picture of that name the linked image: it is ``hires`` from now on."""
    if name not in pictures:
        found = f"only {sorted(pictures)}"
        raise MissingError(f"images[{name!r}]", found=found, expected="it", fix="Name one of these, or pass a path.")
    if name == LibraryKeys.LOWRES and LibraryKeys.HIRES in pictures:
        found, fix = "'lowres', although there is images['hires']", "Pass image='hires', or remove it from uns."
        raise OptionError("image", found=found, expected="the finest picture", fix=fix)
    stated = check_scale(factors.get(SCALES[name], scale), argument=f"scalefactors[{SCALES[name]!r}]")
    if scale not in (1.0, stated):
        expected = f"{stated:g}, the scale factor of {name!r}"
        raise OptionError("image_scale", found=f"{scale:g}", expected=expected, fix="Leave image_scale= out.")
    height, width = pictures[name].shape[:2]
    images, factor = {LibraryKeys.HIRES: pictures[name]}, {LibraryKeys.HIRES_SCALE: stated}
    return _Linked(width, height, stated, images=images, factors=factor)


def _file(path: Path, scale: float, pictures: Mapping[str, Any], factors: Mapping[str, Any]) -> _Linked:
    with open_image(path) as image:
        width, height = image.width, image.height
        check_size(f"image {path}", (width / scale, height / scale), pictures, factors)
        images, added = {}, {}
        if LibraryKeys.HIRES not in pictures:
            picture, per_pixel = image.thumbnail(HIRES_PX)
            images, added = {LibraryKeys.HIRES: as_uint8_rgb(picture)}, {LibraryKeys.HIRES_SCALE: per_pixel * scale}
        elif LibraryKeys.HIRES_SCALE not in factors:
            added = {LibraryKeys.HIRES_SCALE: pictures[LibraryKeys.HIRES].shape[1] / width * scale}
        mpp = image.mpp * scale if image.has_mpp else None
        metadata = {LibraryKeys.PATH: str(path), LibraryKeys.SHA256: image.sha256}
    return _Linked(width, height, scale, mpp, images, added, metadata)


def _by_array(adata: AnnData, rows: NDArray[np.intp], name: str) -> float | None:
    """Micrometres per pixel by the array of a Visium section; None for any other."""
    if not (has(adata, Keys.ARRAY_COL) and has(adata, Keys.ARRAY_ROW)):
        return None
    index = adata.obs[[Keys.ARRAY_COL, Keys.ARRAY_ROW]].iloc[rows].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    xy = positions(adata)[rows]
    placed = np.isfinite(np.hstack([index, xy])).all(axis=1)
    index, xy = index[placed], xy[placed]
    if not is_hexagonal(index, xy):
        return None
    return lattice_mpp(index, xy, VISIUM_STEP_UM, name=name, axes="x and y of obsm['spatial']")


def _scale(
    name: str, given: float | None, linked: _Linked | None, by_array: float | None, known: float | None
) -> float:
    """Micrometres per pixel by the first that says it; others that measured it are compared."""
    measured = {
        "mpp=": given,
        "the image's metadata": linked.mpp if linked else None,
        "the pitch of the Visium array": by_array,
    }
    stated = [(who, value) for who, value in measured.items() if value is not None]
    if not stated and known is not None:
        stated = [(f"uns['spatial'][{name!r}]['metadata']['mpp']", known)]
    if not stated:
        raise ScaleError(
            f"um per pixel of {name!r}",
            found="nothing in the image's metadata, no array_row and array_col of Visium in obs, nothing in uns",
            expected="micrometres per full-resolution pixel",
            fix="Pass mpp=.",
        )
    (who, value), *others = stated
    for other in others:
        if (message := apart((who, value), other)) is not None:
            warnings.warn(f"{name}: {message}", UserWarning, stacklevel=3)
    log.info("%s: %.4f um per full-resolution pixel, by %s", name, value, who)
    return check_mpp(value, source=who)


def _entry(old: Mapping[str, Any], linked: _Linked | None, xy: NDArray[np.float64], mpp: float) -> dict[str, Any]:
    """Add image and scale to the section's entry; what else was there is kept."""
    images = dict(old.get(LibraryKeys.IMAGES, {}))
    factors = {LibraryKeys.SPOT_DIAMETER: spacing(xy) or 1.0, **old.get(LibraryKeys.SCALEFACTORS, {})}
    metadata = dict(old.get(LibraryKeys.METADATA) or {})
    if linked is not None:
        for key in (LibraryKeys.PATH, LibraryKeys.SHA256):  # of the image that was linked before
            metadata.pop(key, None)
        images |= linked.images
        factors |= linked.factors
        metadata |= linked.metadata | {LibraryKeys.SCALE: linked.scale}
    metadata[LibraryKeys.MPP] = mpp
    parts = {LibraryKeys.IMAGES: images, LibraryKeys.SCALEFACTORS: factors, LibraryKeys.METADATA: metadata}
    return {**old, **parts}
