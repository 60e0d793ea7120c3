"""What is drawn for each observation: a disc as large as the spot, or the square of a tile."""

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, EllipseCollection, PolyCollection

from .._errors import OptionError
from ._colors import NO_VALUE
from ._views import View

_TILE_ALPHA = 0.6  # tiles cover the tissue, spots leave most of it free
_RASTER = 10_000  # shapes from which a PDF holds pixels instead
_RIM, _RIMMED = 0.4, 5.0  # points: the rim, and the diameter from which it is that wide
_RIM_ON_WHITE = "#BBBBBB"
_CORNERS = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])


@dataclass(frozen=True)
class Spots:
    """How spots are drawn.

    Attributes
    ----------
    size
        Factor on their true diameter.
    alpha
        Opacity; None lets the tissue show through tiles, and only through these.
    """

    size: float = 1.0
    alpha: float | None = None

    def __post_init__(self) -> None:
        if not 0 < self.size < float("inf"):
            fix = "1 draws spots as large as they are."
            raise OptionError("size", found=repr(self.size), expected="a factor above 0", fix=fix)
        if self.alpha is not None and not 0 <= self.alpha <= 1:
            raise OptionError("alpha", found=repr(self.alpha), expected="0 to 1", fix="1 is opaque.")

    def shapes(self, ax: Axes, view: View, *, width: float, over_image: bool) -> Collection:
        """Make the shapes of a view for a panel of this width in inches, without colours."""
        diameter = view.diameter * self.size
        alpha = self.alpha if self.alpha is not None else _TILE_ALPHA if view.is_tiled and over_image else 1.0
        made = _squares(view, diameter) if view.is_tiled else _discs(ax, view, diameter)
        rim = 0.0 if view.is_tiled else _rim(72 * width * diameter / view.width)
        edge = "white" if over_image else _RIM_ON_WHITE
        made.set(facecolor=NO_VALUE, edgecolor=edge, linewidth=rim, alpha=alpha, zorder=2)
        made.set_rasterized(len(view.xy) > _RASTER)
        return made


def _discs(ax: Axes, view: View, diameter: float) -> Collection:
    widths = np.full(1, diameter)
    place = {"offsets": view.xy, "offset_transform": ax.transData}
    return EllipseCollection(widths, widths, np.zeros(1), units="xy", **place)


def _squares(view: View, side: float) -> Collection:
    return PolyCollection(list(view.xy[:, None] + side * _CORNERS))  # n 4 2


def _rim(points: float) -> float:
    """Width in points of the line that sets a spot of this diameter off from the tissue; small spots have none."""
    return min(_RIM, _RIM * points / _RIMMED) if points > _RIMMED / 2 else 0.0
