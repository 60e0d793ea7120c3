"""The panels of the alignment figure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.patches import Patch

from .._keys import Keys
from .._record import require
from ._colors import NO_VALUE, PALETTE, SEQUENTIAL
from ._layout import Size
from ._text import INK, NORMAL, SMALL, TITLE
from ._views import View

_ON, _OFF = PALETTE[0], PALETTE[3]
_BEST = PALETTE[4]  # pale enough to be written on
_NOISE = 0.05  # share of variance below which a map shows nothing
_NOT_KNOWN = "not known"


class OnTissue:
    """Colours spots by whether the image shows tissue under them."""

    name = "spots"

    def color(self, spots: Collection, view: View) -> None:
        """Colour the spots of one section."""
        on = require(view.adata, Keys.ON_TISSUE).to_numpy(dtype=bool)[view.rows]
        spots.set_facecolor(list(np.where(on, _ON, _OFF)))

    def explain(self, ax: Axes, name: str, size: Size) -> None:
        """Draw the key below the panel."""
        handles = [Patch(color=_ON, label="on tissue"), Patch(color=_OFF, label="off tissue")]
        ax.legend(
            handles=handles, title=name or None, loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False,
            fontsize=SMALL, labelcolor=INK, handlelength=1, handleheight=1,
        )  # fmt: skip


def draw_shift(ax: Axes, _: Size, *, stored: Mapping[str, Any] | None, unit: str, title: str) -> None:
    """Score of every displacement of the spots."""
    _titled(ax, title)
    if stored is None:
        _say(ax, _NOT_KNOWN)
        return
    offsets, scores = np.asarray(stored["offset"]), np.asarray(stored["score"])
    half = (offsets[1] - offsets[0]) / 2
    low, high = offsets[0] - half, offsets[-1] + half
    shown = ax.imshow(
        scores, extent=(low, high, high, low), cmap=SEQUENTIAL, aspect="auto",
        vmin=max(0.0, float(scores.min())), vmax=max(2 * _NOISE, float(scores.max())),
    )  # fmt: skip
    ax.plot(0, 0, "+", color="white", markersize=11, markeredgewidth=1.6)
    if scores.max() >= _NOISE:
        ax.plot(
            *np.asarray(stored["best"]), "o", color="none", markeredgecolor=_OFF, markersize=11, markeredgewidth=1.6
        )
    label = "µm" if unit == "um" else unit
    ax.set_xlabel(f"x, {label}", size=NORMAL, color=INK)
    ax.set_ylabel(f"y, {label}", size=NORMAL, color=INK, labelpad=0)
    ax.tick_params(labelsize=SMALL, colors=INK)
    bar = ax.figure.colorbar(shown, cax=ax.inset_axes((1.03, 0, 0.04, 1)))
    bar.ax.tick_params(labelsize=SMALL, colors=INK)
    bar.outline.set_visible(False)
    bar.set_label("predicted share of variance", size=SMALL, color=INK)


def draw_placements(ax: Axes, _: Size, *, stored: Mapping[str, Any] | None, title: str) -> None:
    """Score of each orientation and scale."""
    _titled(ax, title)
    if stored is None:
        _say(ax, _NOT_KNOWN)
        return
    names, scores = [str(name) for name in stored["name"]], np.asarray(stored["score"], dtype=np.float64)
    colors = [_BEST if k == scores.argmax() and scores[k] >= _NOISE else NO_VALUE for k in range(len(scores))]
    ax.barh(np.arange(len(scores)), scores.clip(0), color=colors)
    for k, name in enumerate(names):
        ax.text(0.02, k, name, transform=ax.get_yaxis_transform(), va="center", size=SMALL, color=INK)
    ax.set(ylim=(len(scores) - 0.5, -0.5), xlim=(0, max(2 * _NOISE, 1.05 * scores.max())), yticks=[])
    ax.set_xlabel("predicted share of variance", size=NORMAL, color=INK)
    ax.tick_params(labelsize=SMALL, colors=INK)
    ax.spines[["top", "right", "left"]].set_visible(False)


def _titled(ax: Axes, title: str) -> None:
    if title:
        ax.set_title(title, size=TITLE, color=INK, pad=5)


def _say(ax: Axes, text: str) -> None:
    ax.text(0.5, 0.5, text, ha="center", va="center", size=NORMAL, color=INK, transform=ax.transAxes)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_color(NO_VALUE)
