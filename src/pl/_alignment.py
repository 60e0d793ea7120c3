"""How image and spots fit: where they lie, and what the image says of other places."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from matplotlib.figure import Figure

from .._errors import MissingError
from .._keys import Keys, slug
from .._record import AnnDatas, each, require
from .._types import check_types
from ._alignment_panels import OnTissue, draw_placements, draw_shift
from ._backdrop import backdrop
from ._extent import resized
from ._layout import Draw, Place, laid_out
from ._panel import Panel
from ._views import View, views

_SIDE, _GAP = 2.9, 0.3  # inches
_MAPS = {"shift": "Displaced spots: expression", "outline": "Displaced spots: outline"}


def alignment(adata: AnnDatas, *, library_key: str = Keys.LIBRARY_ID, image: bool = True) -> Figure:
    """Draw what :func:`histoscribe.pp.check_registration` found, a row for each section.

    From left to right: the spots over the image, coloured by whether the image shows tissue under them, with the
    verdict above; how much of the expression the image predicts when all spots are displaced, with no displacement
    (cross) and the best one (ring); the same for which places of the array have a spot, where that is known; and how
    much is predicted as spots are linked, mirrored, turned, and at other scales.

    Parameters
    ----------
    adata
        A section, several under ``library_key``, or a list of AnnData.
    library_key
        Column of obs that names the section of each spot.
    image
        Whether to draw the linked image under the spots.

    Returns
    -------
    The figure.

    Raises
    ------
    MissingError
        Registration was not checked.

    Examples
    --------
    >>> hs.pp.check_registration(adata)
    >>> hs.pl.alignment(adata)
    """
    check_types(alignment, locals())
    shown = views(each(adata), library_key=library_key, library_id=None, crop=None)
    found = [_entry(view) for view in shown]
    maps = [name for name in _MAPS if any(name in entry for entry in found)]
    draws: dict[Place, Draw] = {}
    for row, (view, entry) in enumerate(zip(shown, found, strict=True)):
        draws[row, 0] = _tissue(view, entry, with_image=image, with_key=row == 0)
        for column, name in enumerate(maps, start=1):
            title = _MAPS[name] if row == 0 else ""
            draws[row, column] = partial(draw_shift, stored=entry.get(name), unit=str(entry["unit"]), title=title)
        title = "Other placements" if row == 0 else ""
        draws[row, 1 + len(maps)] = partial(draw_placements, stored=entry.get("placement"), title=title)
    return laid_out(draws, (_SIDE, _SIDE), gap=_GAP)


def _entry(view: View) -> Mapping[str, Any]:
    stored = require(view.adata, Keys.REGISTRATION)
    if slug(view.library_id) not in stored:
        raise MissingError(
            f"uns['registration'][{slug(view.library_id)!r}]",
            found=f"only {sorted(stored)}",
            expected="an entry for every section",
            fix="Run hs.pp.check_registration(adata) again, with the same library_key=.",
        )
    entry: Mapping[str, Any] = stored[slug(view.library_id)]
    return entry


def _tissue(view: View, entry: Mapping[str, Any], *, with_image: bool, with_key: bool) -> Draw:
    side = max(view.width, view.height)
    square = View(**{**vars(view), "box": resized(view.box, side, side)})
    verdict = str(entry["found"][list(entry["check"]).index("verdict")])
    return Panel(
        square,
        OnTissue(),
        backdrop=backdrop(square, _SIDE) if with_image else None,
        title=f"{view.library_id}: {verdict}",
        key_name="" if with_key else None,
        has_scale_bar=True,
    ).draw
