"""Tiles of each section mapped from its own stain to a common one."""

from collections.abc import Callable
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from anndata import AnnData

from .._checks import check

if TYPE_CHECKING:
    from ..io import SlideImage
    from ..pp import Stain


def check_stain(stain: Any) -> None:
    """Refuse what is no stain to map to."""
    if stain is None:  # pp is loaded only where it is needed
        return
    from ..pp import Stain

    ok = isinstance(stain, Stain) and not stain.degenerate
    fix = "Make it with hs.pp.fit_stain(reference)."
    check("stain", stain, ok, "None or a Stain of a reference that is not degenerate", fix=fix)


def recolouring(adata: AnnData, name: str, target: "Stain") -> Callable[[Any], Any]:
    """Fit the stain of a section, and return what maps its tiles to the target."""
    from ..pp import fit_stain, normalize_stain

    own = fit_stain(adata, target.method, library_id=name)
    return lambda tiles: normalize_stain(tiles, own, target)[0]


def depends_on(image: "SlideImage", target: "Stain | None") -> list[Any]:
    """List what mapped colours depend on beside the image's pixels: a section's own stain follows from these."""
    if target is None:
        return []
    return [target.sha256, image.mpp if image.has_mpp else None, version("histoscribe")]
