"""Image and scale for an AnnData that another reader made."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import MissingError, ScaleError
from .._keys import Keys, LibraryKeys, slug
from .._record import Targets, has, write
from .._sections import positions, sections
from .._types import check_types
from .._units import check_mpp, spacing
from .._warn import warn
from ._lattice import VISIUM_STEP_UM, apart, lattice_mpp, on_visium
from ._link import check_inside, check_scale, given_mpp, single
from ._linked import Linked, linked_image

log = logging.getLogger("histoscribe")


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

    Warns
    -----
    UserWarning
        Statements of the scale contradict each other; the image is not 8-bit RGB, or its red and blue appear exchanged.

    Examples
    --------
    >>> adata = sc.read_h5ad("visium.h5ad")
    >>> hs.io.link_image(adata, "he_fullres.tif")
    >>> hs.pp.tile(adata)
    """
    check_types(link_image, locals())
    single(adata, fix="Link one at a time: each has its own image.")
    given, image_scale = given_mpp(mpp), check_scale(image_scale)
    targets = Targets(adata, copy=copy)
    for one in targets:
        name, rows = _section(one, library_id)
        xy = positions(one)[rows]
        old = one.uns.get(Keys.LIBRARIES, {}).get(name, {})
        linked = None if image is None else linked_image(old, image, image_scale, given, xy)
        if linked is not None:
            check_inside(xy * linked.scale, linked.width, linked.height)
            if linked.remark is not None:
                warn(linked.remark)
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


def _by_array(adata: AnnData, rows: NDArray[np.intp], name: str) -> float | None:
    """Micrometres per pixel by the array of a Visium section; None for any other."""
    spots = on_visium(adata.obs.iloc[rows], positions(adata)[rows])
    if spots is None:
        return None
    return lattice_mpp(*spots, VISIUM_STEP_UM, name=name, axes="x and y of obsm['spatial']")


def _scale(name: str, given: float | None, linked: Linked | None, by_array: float | None, known: float | None) -> float:
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
            warn(f"{name}: {message}")
    log.info("%s: %.4f um per full-resolution pixel, by %s", name, value, who)
    return check_mpp(value, source=who)


def _entry(old: Mapping[str, Any], linked: Linked | None, xy: NDArray[np.float64], mpp: float) -> dict[str, Any]:
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
