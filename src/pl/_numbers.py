"""Numbers as colours: a colour map that fits their signs, and a colour bar."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm
from matplotlib.ticker import FixedLocator, MaxNLocator

from ._colors import DIVERGING, NO_VALUE, SEQUENTIAL, colormap
from ._layout import Size
from ._legend import GAP, no_value_legend
from ._limits import Numeric, is_constant, limits
from ._lookup import Variable
from ._text import INK, NORMAL, SMALL, wrapped, written
from ._views import View

_BAR, _LONGEST = 0.13, 2.6  # inches
_APART = 0.1  # of the bar's length


@dataclass(frozen=True)
class Numbers:
    """A numeric variable with one colour scale for all sections."""

    variable: Variable
    norm: Normalize | None  # None: there is no number at all
    cmap: Colormap
    extend: str
    has_missing: bool
    ticks: Sequence[float] = ()

    @property
    def name(self) -> str:
        """What the colours show."""
        return self.variable.name

    def color(self, spots: Collection, view: View) -> None:
        """Colour the spots of one section."""
        if self.norm is None:
            spots.set_facecolor(NO_VALUE)
            return
        spots.set_cmap(self.cmap)
        spots.set_norm(self.norm)
        values = np.asarray(self.variable.per_adata[view.index])[view.rows]
        spots.set_array(np.ma.masked_where(np.isnan(values), values))

    def explain(self, ax: Axes, name: str, size: Size) -> None:
        """Draw the colour bar beside a panel of this size in inches; ``name`` where no title says it."""
        width, height = size
        if self.has_missing:
            no_value_legend(ax, x=1 + GAP / width)
        if self.norm is None:
            return
        below = 0.2 * self.has_missing  # room for what explains the grey spots
        share = min(0.84 - 0.7 * below, _LONGEST / height)
        inset = ax.inset_axes((1 + GAP / width, max((1 - share) / 2, below), _BAR / width, share))
        mappable = ScalarMappable(self.norm, self.cmap)
        bar = ax.figure.colorbar(
            mappable, cax=inset, extend=self.extend, extendfrac=0.04, ticks=FixedLocator(self.ticks)
        )
        bar.outline.set_visible(False)
        inset.tick_params(labelsize=SMALL, labelcolor=INK, color=INK, length=2.5, width=0.6, pad=2)
        label = " · ".join(text for text in (name, self.variable.detail) if text)
        if label:
            bar.set_label("", size=NORMAL, color=INK, labelpad=5)
            written(inset.yaxis.label, wrapped(label, NORMAL, height * share))


def numbers(variable: Variable, shown: Sequence[View], how: Numeric) -> Numbers:
    """Choose one scale for a variable, from all spots of the AnnData, so that a crop keeps its colours."""
    values = np.concatenate([np.asarray(value) for value in variable.per_adata])
    drawn = np.concatenate([np.asarray(variable.per_adata[view.index])[view.rows] for view in shown])
    has_missing = bool(np.isnan(drawn).any())
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Numbers(variable, None, colormap(how.cmap or SEQUENTIAL), "neither", has_missing)
    low, high, middle = limits(finite, how)
    norm = Normalize(low, high) if middle is None else TwoSlopeNorm(middle, low, high)
    colors = colormap(how.cmap or (SEQUENTIAL if middle is None else DIVERGING))
    below, above = bool((drawn < low).any()), bool((drawn > high).any())
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    ticks = finite[:1].tolist() if is_constant(finite, how) else _ticks(norm)
    return Numbers(variable, norm, colors, extend[below, above], has_missing, ticks)


def _ticks(norm: Normalize) -> list[float]:
    """Round values between the limits; the centre always, and none so near to it that labels would touch."""
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    ticks = [float(tick) for tick in MaxNLocator(nbins=5, steps=[1, 2, 5, 10]).tick_values(low, high)]
    ticks = [tick for tick in ticks if low <= tick <= high]
    if not isinstance(norm, TwoSlopeNorm):
        return ticks
    middle = float(norm.vcenter)
    return sorted([middle, *(tick for tick in ticks if abs(norm(tick) - norm(middle)) > _APART)])
