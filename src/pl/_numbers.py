"""Numbers as colours: robust limits, a colour map that fits their signs, a colour bar."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import Collection
from matplotlib.colors import Colormap, Normalize, TwoSlopeNorm
from matplotlib.ticker import FixedLocator, MaxNLocator
from numpy.typing import NDArray

from .._errors import OptionError
from ._colors import DIVERGING, NO_VALUE, SEQUENTIAL, colormap
from ._legend import no_value_legend
from ._lookup import Variable
from ._text import INK, NORMAL, SMALL, wrapped, written
from ._views import View

_ROBUST = (1.0, 99.0)  # percentiles
_BAR, _GAP = 0.13, 0.1  # inches
_WITH_TICKS = 0.72  # inches from the panel to the end of the tick labels
_LABEL = 0.2  # inches of a label beside them
_LONGEST = 2.6  # inches


@dataclass(frozen=True)
class Numbers:
    """A numeric variable with one colour scale for all sections."""

    variable: Variable
    norm: Normalize | None  # None: there is no number at all
    cmap: Colormap
    extend: str
    has_missing: bool

    def color(self, spots: Collection, view: View) -> None:
        """Colour the spots of one section."""
        if self.norm is None:
            spots.set_facecolor(NO_VALUE)
            return
        spots.set_cmap(self.cmap)
        spots.set_norm(self.norm)
        values = np.asarray(self.variable.values[view.index])[view.rows]
        spots.set_array(np.ma.masked_where(np.isnan(values), values))

    def key_width(self, height: float, *, named: bool) -> float:
        """Inches that the colour bar takes beside a panel."""
        return _WITH_TICKS + _LABEL * (named or bool(self.variable.detail))

    def explain(self, ax: Axes, name: str, size: tuple[float, float]) -> None:
        """Draw the colour bar beside a panel of this size in inches; ``name`` where no title says it."""
        width, height = size
        if self.has_missing:
            no_value_legend(ax, x=1 + _GAP / width)
        if self.norm is None:
            return
        share = min(0.84 - 0.14 * self.has_missing, _LONGEST / height)
        bottom = max((1 - share) / 2, 0.2 * self.has_missing)
        inset = ax.inset_axes((1 + _GAP / width, bottom, _BAR / width, share))
        bar = ax.figure.colorbar(ScalarMappable(self.norm, self.cmap), cax=inset, extend=self.extend, extendfrac=0.04)
        low, high = self.norm.vmin, self.norm.vmax
        middle = getattr(self.norm, "vcenter", None)
        ticks = MaxNLocator(nbins=4, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        ticks = np.array([t for t in ticks if low <= t <= high])
        bar.locator = FixedLocator(ticks if middle is None else np.union1d(_apart(ticks, middle, high - low), middle))
        bar.update_ticks()
        bar.outline.set_visible(False)
        inset.tick_params(labelsize=SMALL, labelcolor=INK, color=INK, length=2.5, width=0.6, pad=2)
        label = " · ".join(text for text in (name, self.variable.detail) if text)
        if label:
            bar.set_label("", size=NORMAL, color=INK, labelpad=5)
            written(inset.yaxis.label, wrapped(label, NORMAL, height * share))


def numbers(
    variable: Variable,
    shown: Sequence[View],
    *,
    cmap: str | Colormap | None,
    vmin: float | None,
    vmax: float | None,
    vcenter: float | None,
) -> Numbers:
    """Choose one scale for a variable, from all spots of the AnnData, so that a crop keeps its colours."""
    values = np.concatenate([np.asarray(value) for value in variable.values])
    drawn = np.concatenate([np.asarray(variable.values[view.index])[view.rows] for view in shown])
    has_missing = bool(np.isnan(drawn).any())
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Numbers(variable, None, colormap(cmap or SEQUENTIAL), "neither", has_missing)
    low, high, middle = limits(finite, vmin, vmax, vcenter)
    norm = Normalize(low, high) if middle is None else TwoSlopeNorm(middle, low, high)
    colors = colormap(cmap or (SEQUENTIAL if middle is None else DIVERGING))
    below, above = bool((drawn < low).any()), bool((drawn > high).any())
    extend = {(False, False): "neither", (True, False): "min", (False, True): "max", (True, True): "both"}
    return Numbers(variable, norm, colors, extend[below, above], has_missing)


def limits(
    values: NDArray[np.float64], vmin: float | None, vmax: float | None, vcenter: float | None
) -> tuple[float, float, float | None]:
    """Lower and upper limit, and the centre where the values lie on both sides of one.

    Limits that are not given are the 1st and 99th percentile, symmetric around a centre.
    """
    for name, value in (("vmin", vmin), ("vmax", vmax), ("vcenter", vcenter)):
        if value is not None and not np.isfinite(value):
            raise OptionError(name, found=repr(value), expected="a finite number", fix="Leave it out.")
    low, high = _robust(values)
    signed = low < 0 < high and (vmin is None or vmin < 0) and (vmax is None or vmax > 0)
    middle = vcenter if vcenter is not None else 0.0 if signed else None
    if middle is not None:
        half = max(abs(low - middle), abs(high - middle)) or 1.0
        low, high = middle - half, middle + half
    low, high = low if vmin is None else float(vmin), high if vmax is None else float(vmax)
    if low == high and vmin is None and vmax is None:  # constant: any range does, 0 at its lower end
        low, high = (low, low + 1.0) if low == 0 else tuple(sorted((0.0, low)))
    inside = middle is None or low < middle < high
    if low >= high or not inside:
        found = f"vmin={low:g}, vmax={high:g}" + ("" if middle is None else f", vcenter={middle:g}")
        fix = "Leave one of them out; the others default to the 1st and 99th percentile."
        raise OptionError("limits", found=found, expected="vmin < vcenter < vmax", fix=fix)
    return low, high, middle


def _robust(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, _ROBUST)
    if low == high:  # a gene that few spots express
        low, high = values.min(), values.max()
    return float(low), float(high)


def _apart(ticks: NDArray[np.float64], middle: float, span: float) -> NDArray[np.float64]:
    """Ticks far enough from the middle that its label has room."""
    return ticks[np.abs(ticks - middle) > 0.12 * span]
