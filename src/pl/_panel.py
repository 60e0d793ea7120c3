"""One panel: the tissue, the spots, the scale bar and the key of the colours."""

from dataclasses import dataclass, field
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.collections import Collection

from ._backdrop import Backdrop
from ._layout import Size
from ._scalebar import scale_bar
from ._spots import Spots
from ._text import INK, TITLE, wrapped
from ._views import View

_LETTER = 0.2  # inches


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
        spots = self.spots.shapes(ax, self.view, width=size[0], over_image=self.backdrop is not None)
        if self.paint is not None:
            self.paint.color(spots, self.view)
        ax.add_collection(spots, autolim=False)

    def _write(self, ax: Axes, size: Size) -> None:
        if self.title:
            width = size[0] - 2 * _LETTER * bool(self.letter)
            ax.set_title(wrapped(self.title, TITLE, width), size=TITLE, color=INK, pad=5, parse_math=False)
        if self.row_label:
            text = wrapped(self.row_label, TITLE, size[1])
            ax.set_ylabel(text, size=TITLE, color=INK, labelpad=5, parse_math=False)
        if self.letter:
            ax.set_title(self.letter, loc="left", size=TITLE + 2, weight="bold", color=INK, pad=5)
