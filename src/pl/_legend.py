"""Legends beside a panel, outside its axes."""

from collections.abc import Sequence
from math import ceil, floor

from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from ._colors import NO_VALUE
from ._text import INK, NORMAL, shortened, width, written

MISSING = "no value"

_ROW = 0.185  # inches an entry takes
_LONGEST = 1.9  # inches of a name
_MARKER, _BETWEEN, _GAP = 0.2, 0.18, 0.1  # inches


def legend_width(names: Sequence[str], height: float, *, title: str = "") -> float:
    """Inches that a legend takes beside a panel ``height`` inches high."""
    columns = _columns(len(names), height)
    longest = max((width(shortened(name, NORMAL, _LONGEST).replace("$", "S"), NORMAL) for name in names), default=0.0)
    entries = columns * (longest + _MARKER) + (columns - 1) * _BETWEEN
    return _GAP + max(entries, min(width(title.replace("$", "S"), NORMAL), _LONGEST) if title else 0.0) + 0.08


def legend(
    ax: Axes, names: Sequence[str], colors: Sequence[str], size: tuple[float, float], *, title: str = ""
) -> Legend:
    """Draw a legend of coloured dots to the right of a panel of this size in inches."""
    drawn = ax.legend(
        handles=[_dot(color) for color in colors],
        labels=["."] * len(names),  # an underscore first would hide an entry: the names come after
        title="." if title else None,
        loc="center left",
        bbox_to_anchor=(1 + _GAP / size[0], 0.5),
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
