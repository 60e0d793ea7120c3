"""A scale bar of a round length in micrometres, legible on tissue."""

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from mpl_toolkits.axes_grid1.anchored_artists import AnchoredSizeBar
from numpy.typing import NDArray

from .._units import to_px, to_um
from ._text import INK, SMALL
from ._views import View

_OF_WIDTH = 0.28  # of what is shown, at most
_CORNERS = {"lower left": (0, 1), "lower right": (1, 1), "upper left": (0, 0), "upper right": (1, 0)}
_CORNER = (0.36, 0.16)  # of the panel, that bar and label need


def round_length(most: float) -> float:
    """Largest of 1, 2, 5, 10, 20, 50, ... that is not above ``most``."""
    power = 10.0 ** np.floor(np.log10(most))
    return float(max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9)))


def label(um: float) -> str:
    """Length as figures write it."""
    return f"{um / 1000:g} mm" if um >= 1000 else f"{um:g} µm"


def scale_bar(ax: Axes, view: View, mpp: float) -> AnchoredSizeBar:
    """Add the bar in the corner with the fewest spots."""
    um = round_length(float(to_um(view.width, mpp)) * _OF_WIDTH)
    bar = AnchoredSizeBar(
        ax.transData,
        float(to_px(um, mpp)),
        label(um),
        emptiest_corner(view),
        pad=0.3,
        borderpad=0.5,
        sep=3,
        color=INK,
        label_top=True,
        size_vertical=view.height * 0.006,
        fontproperties=FontProperties(size=SMALL),
        fill_bar=True,
    )
    bar.patch.set(facecolor="white", edgecolor="none", alpha=0.85, boxstyle="round,pad=0,rounding_size=0.2")
    bar.set_zorder(5)
    return ax.add_artist(bar)


def emptiest_corner(view: View) -> str:
    """Corner in which the bar hides the fewest spots."""
    return min(_CORNERS, key=dict(_hidden(view)).__getitem__)  # the first of equals


def _hidden(view: View) -> Iterator[tuple[str, int]]:
    at: NDArray[np.float64] = (view.xy - view.box[:2]) / (view.width, view.height)
    for corner, (right, lower) in _CORNERS.items():
        x = at[:, 0] if not right else 1 - at[:, 0]
        y = at[:, 1] if not lower else 1 - at[:, 1]
        yield corner, int(((x < _CORNER[0]) & (y < _CORNER[1])).sum())
