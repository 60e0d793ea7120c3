"""One panel: the tissue, the spots, the scale bar and the key of the colours."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, EllipseCollection

from .._errors import OptionError
from ._backdrop import Backdrop
from ._colors import NO_VALUE
from ._layout import Size
from ._scalebar import scale_bar
from ._text import INK, TITLE, wrapped
from ._views import View

_RASTER = 10_000  # spots from which a PDF holds pixels instead of shapes
_RIM, _RIMMED = 0.4, 5.0  # points: the rim, and the diameter from which it is that wide
_LETTER = 0.2  # inches
_RIM_ON_WHITE = "#BBBBBB"


class Paint(Protocol):
    """What gives spots their colours and explains them."""

    @property
    def name(self) -> str:
        """What the colours show."""

    def color(self, spots: Collection, view: View) -> None:
        """Colour the spots of one section."""

    def explain(self, ax: Axes, name: str, size: Size) -> None:
        """Draw the key beside a panel of this size in inches."""


@dataclass(frozen=True)
class Spots:
    """How spots are drawn.

    Attributes
    ----------
    size
        Factor on their true diameter.
    alpha
        Opacity.
    """

    size: float = 1.0
    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.size < float("inf"):
            fix = "1 draws spots as large as they are."
            raise OptionError("size", found=repr(self.size), expected="a factor above 0", fix=fix)
        if not 0 <= self.alpha <= 1:
            raise OptionError("alpha", found=repr(self.alpha), expected="0 to 1", fix="1 is opaque.")


@dataclass(frozen=True)
class Panel:
    """What one panel shows.

    Attributes
    ----------
    view
        Section.
    paint
        Colours; None shows the tissue alone.
    backdrop
        Image of the tissue.
    title, row_label, letter
        Written above, at the left, and in the upper left corner.
    key_name
        Variable, where no title says it; None draws no key.
    has_scale_bar
        Whether the bar is drawn.
    """

    view: View
    paint: Paint | None
    backdrop: Backdrop | None = None
    title: str = ""
    row_label: str = ""
    letter: str = ""
    key_name: str | None = None
    has_scale_bar: bool = False
    spots: Spots = field(default_factory=Spots)

    def draw(self, ax: Axes, size: Size) -> None:
        """Draw into axes of this size in inches."""
        if self.backdrop is not None:
            self.backdrop.draw(ax)
        if self.paint is not None or self.backdrop is None:
            self._draw_spots(ax, size)
        x0, y0, x1, y1 = self.view.box
        ax.set(xlim=(x0, x1), ylim=(y1, y0), xticks=[], yticks=[], aspect="equal")
        ax.spines[:].set_visible(False)
        if self.has_scale_bar and self.view.mpp is not None:
            scale_bar(ax, self.view, self.view.mpp)
        self._write(ax, size)
        if self.paint is not None and self.key_name is not None:
            self.paint.explain(ax, self.key_name, size)

    def _draw_spots(self, ax: Axes, size: Size) -> None:
        diameter = np.full(1, self.view.diameter * self.spots.size)
        spots = EllipseCollection(
            diameter,
            diameter,
            np.zeros(1),
            units="xy",
            offsets=self.view.xy,
            offset_transform=ax.transData,
            facecolor=NO_VALUE,
            linewidth=self._rim(size),
            edgecolor="white" if self.backdrop is not None else _RIM_ON_WHITE,
            alpha=self.spots.alpha,
            rasterized=len(self.view.xy) > _RASTER,
            zorder=2,
        )
        if self.paint is not None:
            self.paint.color(spots, self.view)
        ax.add_collection(spots, autolim=False)

    def _rim(self, size: Size) -> float:
        """Width in points of the line that sets a spot off from the tissue; small spots have none."""
        points = 72 * size[0] * self.view.diameter * self.spots.size / self.view.width
        return min(_RIM, _RIM * points / _RIMMED) if points > _RIMMED / 2 else 0.0

    def _write(self, ax: Axes, size: Size) -> None:
        if self.title:
            width = size[0] - 2 * _LETTER * bool(self.letter)
            ax.set_title(wrapped(self.title, TITLE, width), size=TITLE, color=INK, pad=5, parse_math=False)
        if self.row_label:
            text = wrapped(self.row_label, TITLE, size[1])
            ax.set_ylabel(text, size=TITLE, color=INK, labelpad=5, parse_math=False)
        if self.letter:
            ax.set_title(self.letter, loc="left", size=TITLE + 2, weight="bold", color=INK, pad=5)
