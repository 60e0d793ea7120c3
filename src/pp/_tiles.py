"""The box of the image that belongs to each spot."""

import logging
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._checks import check
from .._keys import Keys, valid
from .._record import AnnDatas, Targets, write
from .._sections import check_places, positions, section_mpp, sections
from .._types import check_types
from .._units import n_doubled, to_px
from .._warn import warn
from ..io._lattice import VISIUM_STEP_UM, apart, fit_lattice, on_visium

_FEW_DOUBLE = 10
_MOST_DOUBLE = 0.1  # share of the spots of a section that may lie on others

log = logging.getLogger("histoscribe")


def tile(
    adata: AnnDatas,
    *,
    size_um: float = 112.0,
    context: float | Sequence[float] = 1.0,
    library_key: str = Keys.LIBRARY_ID,
    key_added: str = Keys.TILES,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Give each spot a square tile of the image, centred on it.

    Boxes that reach over the border of the image are kept: what lies outside is read as background. Spots may be those
    of any array, bins, cells, or the tiles of a slide: these get boxes of another size around the same centres, which
    then overlap or leave gaps.

    Parameters
    ----------
    adata
        A section, or a list of them.
    size_um
        Side of a tile, um. 112 um are the 224 pixels at 0.5 um that most pathology encoders were trained on.
    context
        How many times wider and higher the box is than ``size_um``: 3 gives a tile with its eight neighbours. Several
        numbers give as many boxes: the smallest goes to ``key_added``, the others to names that end in ``_x`` and the
        number.
    library_key
        Column of ``obs`` that says the section of a spot; needed only where there are several.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obsm["tiles"]`` (n, 4), x, y, width and height in full-resolution pixels, and
    ``obs["tiles_valid"]``, False for a spot without a position (its box is NaN). With ``context=(1, 3)`` also
    ``obsm["tiles_x3"]`` and ``obs["tiles_x3_valid"]``. Boxes of an earlier call in other slots stay; the log names
    those that no longer fit. ``obs["tissue_fraction"]`` is that of the tiles it was made from: for the new ones run
    :func:`tissue_mask`.

    Raises
    ------
    ScaleError
        The section's um per pixel are not known.
    ImageError
        More than half of the spots lie outside the image, or x and y are swapped.
    OptionError
        A size that is not positive, or a context below 1 or given twice.

    Warns
    -----
    UserWarning
        The section's um per pixel are more than a tenth from those of its Visium array.

    Examples
    --------
    >>> adata = hs.datasets.toy()
    >>> hs.pp.tile(adata, context=(1, 3))
    >>> adata.obsm["tiles"].shape, adata.obsm["tiles_x3"].shape
    ((400, 4), (400, 4))
    """
    check_types(tile, locals())
    check("size_um", size_um, _is_number(size_um) and size_um > 0, "a positive length in um")
    contexts = _slots(context, key_added)
    targets = Targets(adata, copy=copy)
    made = [
        {key: _section_boxes(one, size_um * wide, library_key) for key, wide in contexts.items()} for one in targets
    ]
    wide = list(contexts.values())
    params = {"size_um": size_um, "context": wide if len(wide) > 1 else wide[0], "library_key": library_key}
    for one in targets:
        _warn_of_scale(one, library_key)
        _warn_of_doubles(one, library_key)
    for one, boxes in zip(targets, made, strict=True):
        outputs: dict[Any, Any] = {}
        for key, box in boxes.items():
            outputs |= {Keys.TILES.renamed(key): box, valid(key): np.isfinite(box).all(axis=1)}
        hashes = {f"boxes.{key}": sha256(box.tobytes()).hexdigest() for key, box in boxes.items()}
        write(one, outputs, by="pp.tile", params=params, inputs=[Keys.SPATIAL], hashes=hashes)
        _log_stale(one, boxes[str(key_added)], str(key_added), contexts)
    return targets.result()


def _slots(context: float | Sequence[float], key_added: str) -> dict[str, float]:
    """Slot of each context, the smallest first."""
    several = not np.isscalar(context) and isinstance(context, (Sequence, np.ndarray))
    contexts: list[Any] = list(context) if several else [context]  # type: ignore[arg-type]
    for one in contexts:
        check("context", context, _is_number(one) and one >= 1, "1 or more")
    contexts = sorted(map(float, contexts))
    slots = {f"{key_added}_x{one:g}" if i else str(key_added): one for i, one in enumerate(contexts)}
    distinct = 0 < len(slots) == len(contexts) == len({f"{one:g}" for one in contexts})
    check("context", context, distinct, "one number, or several that differ")
    return slots


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _section_boxes(adata: AnnData, side_um: float, library_key: str) -> NDArray[np.float64]:
    xy = positions(adata)
    boxes = np.empty((adata.n_obs, 4))
    check_places(adata, library_key)
    for name, rows in sections(adata, library_key).items():
        boxes[rows] = centred_boxes(xy[rows], float(to_px(side_um, section_mpp(adata, name))))
    return boxes


def _warn_of_scale(adata: AnnData, library_key: str) -> None:
    """Warn where the array of a Visium section says another um per pixel than ``uns``."""
    xy = positions(adata)
    for name, rows in sections(adata, library_key).items():
        spots = on_visium(adata.obs.iloc[rows], xy[rows])
        if spots is None:
            continue
        believed = f"uns['spatial'][{name!r}]['metadata']['mpp']", section_mpp(adata, name)
        message = apart(believed, ("the pitch of the Visium array", fit_lattice(*spots, VISIUM_STEP_UM).mpp))
        if message is not None:
            fix = "If the array is right: hs.io.link_image(adata)."
            warn(f"{name}: {message}. {fix}")


def _warn_of_doubles(adata: AnnData, library_key: str) -> None:
    """Warn where many spots of a section lie on others: two sections were put together under one name, most likely."""
    xy = positions(adata)
    for name, rows in sections(adata, library_key).items():
        placed = xy[rows][np.isfinite(xy[rows]).all(axis=1)]
        double = n_doubled(placed)
        if double > max(_FEW_DOUBLE, _MOST_DOUBLE * len(placed)):
            msg = (
                f"{double} of {len(placed)} spots of section {name!r} lie where another spot lies: are there two sections "
                "under one name? Both would be cut from one image. Name each before putting them together: "
                f"adata.obs[{str(library_key)!r}] = ..., and rename its entry in adata.uns['spatial']."
            )
            warn(msg)


def centred_boxes(xy: NDArray[np.float64], side: float) -> NDArray[np.float64]:
    """Squares (n, 4) as x, y, width, height around centres (n, 2)."""
    boxes = np.concatenate([xy - side / 2, np.full_like(xy, side)], axis=1)
    boxes[~np.isfinite(xy).all(axis=1)] = np.nan
    return boxes


def _log_stale(adata: AnnData, boxes: NDArray[np.float64], key_added: str, contexts: Mapping[str, float]) -> None:
    """Name boxes of earlier calls that this one would have put elsewhere or made of another size."""
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    for key in map(str, adata.obsm):
        wide = re.fullmatch(re.escape(key_added) + r"_x(\d+(?:\.\d+)?)", key)
        old = np.asarray(adata.obsm[key])
        if wide is None or key in contexts or old.shape != boxes.shape:
            continue
        sides = boxes[:, 2:] / contexts[key_added] * float(wide[1])
        expected = np.hstack([centres - sides / 2, sides])
        if not np.allclose(old, expected, atol=1e-6, equal_nan=True):
            log.warning("obsm[%r] is of an earlier call and no longer fits obsm[%r]", key, key_added)
