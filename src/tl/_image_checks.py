"""What is checked of encoder, boxes and image before anything is encoded."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._errors import ImageError, OptionError
from .._keys import Keys, LibraryKeys
from .._record import has, require
from .._sections import metadata, positions, section_mpp
from .._warn import warn

if TYPE_CHECKING:
    from ..io import SlideImage

_OFF_SCALE = 1.25
_TOO_COARSE = 2.5
_OFF_PLACE = 0.25  # of a tile's side


def boxes_of(adata: AnnData, tiles_key: str) -> NDArray[np.float64]:
    """Boxes of a slot (n, 4), some of them finite; NaN rows are kept."""
    boxes = np.asarray(require(adata, Keys.TILES.renamed(tiles_key)), dtype=np.float64)
    field, fix = f"obsm[{str(tiles_key)!r}]", "Run hs.pp.tile(adata)."
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all(axis=1).any():
        found = f"shape {boxes.shape}, {int(np.isfinite(boxes).all(axis=-1).sum())} finite boxes"
        raise OptionError(field, found=found, expected="boxes (n, 4), some finite", fix=fix)
    if (boxes[:, 2:] <= 0).any():
        flat = np.flatnonzero((boxes[:, 2:] <= 0).any(axis=1))
        found = f"{len(flat)} boxes without size, such as row {flat[0]}"
        raise OptionError(field, found=found, expected="positive width and height", fix=fix)
    return boxes


def check_scale(adata: AnnData, name: str, boxes: Sequence[NDArray[np.float64]], encoder: Any) -> None:
    """Warn of tiles at another scale than the encoder's; where the scale is not known, nothing can be said.

    Of several contexts the narrowest is judged: the others are wider on purpose.
    """
    if Keys.LIBRARIES not in adata.uns:
        return
    width = min(float(np.median(box[:, 2])) for box in boxes if len(box))
    mpp = width * section_mpp(adata, name) / encoder.size
    if max(mpp / encoder.mpp, encoder.mpp / mpp) > _OFF_SCALE:
        msg = (
            f"{LibraryKeys.MPP} of section {name!r}: tiles give {encoder.name} {mpp:.2f} um per pixel, it was made for "
            f"{encoder.mpp:g}. Run hs.pp.tile(adata, size_um={encoder.mpp * encoder.size:g}) for that scale."
        )
        warn(msg)


def check_places(adata: AnnData, name: str, rows: NDArray[np.intp], boxes: NDArray[np.float64]) -> None:
    """Warn of tiles that do not lie on their spots: they were made before the spots were moved, most likely."""
    if not has(adata, Keys.SPATIAL):
        return
    off = boxes[:, :2] + boxes[:, 2:] / 2 - positions(adata)[rows]
    far = float(np.nanmedian(np.hypot(*off.T))) if np.isfinite(off).all(axis=1).any() else 0.0
    if far > _OFF_PLACE * float(np.median(boxes[:, 2])):
        msg = (
            f"tiles of section {name!r} lie {far:.0f} pixels from their spots: were the spots moved since? "
            "Run hs.pp.tile(adata) again."
        )
        warn(msg)


def check_small(adata: AnnData, name: str, boxes: NDArray[np.float64], largest: float) -> None:
    """Refuse boxes that are larger than an encoder tile: dense pooling reads them from a few tiles' tokens."""
    widest = float(boxes[:, 2:].max())
    if widest > largest * (1 + 1e-6):
        mpp = section_mpp(adata, name)
        raise OptionError(
            f"tiles of section {name!r}",
            found=f"boxes of {widest * mpp:.4g} um",
            expected=f"at most {largest * mpp:.4g} um for pooling='dense', the encoder's own tile",
            fix="Leave pooling='dense' out: it is for bins and cells.",
        )


def check_image(adata: AnnData, name: str, image: "SlideImage", encoder: Any) -> None:
    """Refuse an image of another kind, or another file than the linked one; warn of pixels too coarse."""
    from ..io.image._kind import check_rgb

    check_rgb(image)
    stated = metadata(adata, name) if Keys.LIBRARIES in adata.uns else {}
    linked = stated.get(LibraryKeys.SHA256)
    if linked is not None and image.source == stated.get(LibraryKeys.PATH) and linked != image.sha256:
        fix = "Link the right image with hs.io.link_image(adata, path)."
        raise ImageError(
            f"image of section {name!r}", found=f"another file at {image.source}", expected=linked, fix=fix
        )
    if image.has_mpp and image.native_mpp > _TOO_COARSE * encoder.mpp:
        msg = (
            f"image of section {name!r} has {image.native_mpp:.2f} um per pixel and {encoder.name} was made for "
            f"{encoder.mpp:g}: its tiles are enlarged, and show colour and layers but no nuclei"
        )
        warn(msg)


def on_image(boxes: NDArray[np.float64], image: "SlideImage", name: str) -> NDArray[np.bool_]:
    """Tiles that show any of the image; an error where most do not, a warning where some do not."""
    x, y, w, h = boxes.T
    seen = (x < image.width) & (x + w > 0) & (y < image.height) & (y + h > 0)
    found = f"{int((~seen).sum())} of {len(seen)} outside the image ({image.width} x {image.height} pixels)"
    if seen.mean() < 0.5:
        fix = "Positions and image do not belong together, or x and y are swapped: look at hs.pl.spatial(adata)."
        raise ImageError(f"tiles of section {name!r}", found=found, expected="tiles on the image", fix=fix)
    if not seen.all():
        warn(f"tiles of section {name!r}: {found}; they are flagged as not valid")
    return np.asarray(seen)
