"""Legends beside a panel, outside its axes."""

from collections.abc import Sequence
from math import ceil, floor

from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from ._colors import NO_VALUE
from ._layout import Size
from ._text import INK, NORMAL, shortened, written

MISSING = "no value"

_ROW = 0.185  # inches an entry takes
_LONGEST = 1.7  # inches of a name
GAP = 0.1  # inches between a panel and its key


def legend(ax: Axes, names: Sequence[str], colors: Sequence[str], size: Size, *, title: str = "") -> Legend:
    """Draw a legend of coloured dots to the right of a panel of this size in inches."""
    drawn = ax.legend(
        handles=[_dot(color) for color in colors],
        labels=["."] * len(names),  # an underscore first would hide an entry: the names come after
        title="." if title else None,
        loc="center left",
        bbox_to_anchor=(1 + GAP / size[0], 0.5),
        ncols=_columns(len(names), size[1]),
        **_STYLE,
    )
    for text, name in zip(drawn.get_texts(), names, strict=True):
        written(text, shortened(name, NORMAL, _LONGEST))
    if title:
        written(drawn.get_title(), shortened(title, NORMAL, _LONGEST))
        drawn.get_title().set_color(INK)
    return drawn


def no_value_legend(ax: Axes, *, x: float) -> Legend:
    """Say, below a colour bar, what the grey spots are."""
    return ax.legend(handles=[_dot(NO_VALUE)], labels=[MISSING], loc="lower left", bbox_to_anchor=(x, 0.0), **_STYLE)


_STYLE: dict[str, object] = {
    "fontsize": NORMAL,
    "title_fontsize": NORMAL,
    "labelcolor": INK,
    "frameon": False,
    "borderaxespad": 0.0,
    "borderpad": 0.0,
    "handlelength": 0.7,
    "handletextpad": 0.5,
    "labelspacing": 0.35,
    "columnspacing": 1.4,
    "alignment": "left",
}


def _dot(color: str) -> Line2D:
    return Line2D([], [], linestyle="none", marker="o", markersize=6.5, markerfacecolor=color, markeredgewidth=0)


def _columns(n: int, height: float) -> int:
    return max(1, ceil(n / max(1, floor(height / _ROW))))
