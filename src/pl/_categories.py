"""Categories as colours, and their legend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import to_rgba_array

from ._colors import NO_VALUE
from ._layout import Size
from ._legend import MISSING, legend
from ._lookup import Variable
from ._views import View


@dataclass(frozen=True)
class Categories:
    """A categorical variable with one colour for each category in all sections."""

    variable: Variable
    colors: Mapping[str, str]
    present: Sequence[str]
    has_missing: bool

    @property
    def name(self) -> str:
        """What the colours show."""
        return self.variable.name

    def color(self, spots: Collection, view: View) -> None:
        """Colour the spots of one section."""
        value = _rows(self.variable, view)
        table = to_rgba_array([*(self.colors[str(name)] for name in value.categories), NO_VALUE])
        spots.set_facecolor(table[value.codes])  # the code of a missing value is -1: the last

    def explain(self, ax: Axes, name: str, size: Size) -> None:
        """Draw the legend beside a panel of this size in inches; ``name`` where no title says it."""
        legend(ax, *self._entries(), size, title=name)

    def _entries(self) -> tuple[list[str], list[str]]:
        missing = [MISSING] * self.has_missing
        return [*self.present, *missing], [*(self.colors[name] for name in self.present), *[NO_VALUE] * len(missing)]


def categories(variable: Variable, shown: Sequence[View], colors: Mapping[str, str]) -> Categories:
    """Find which categories the shown spots have; the legend names no others."""
    met: set[str] = set()
    has_missing = False
    for view in shown:
        value = _rows(variable, view)
        met |= {str(value.categories[code]) for code in np.unique(value.codes) if code >= 0}
        has_missing |= bool((value.codes < 0).any())
    return Categories(variable, colors, [name for name in colors if name in met], has_missing)


def _rows(variable: Variable, view: View) -> pd.Categorical:
    return pd.Categorical(variable.per_adata[view.index])[view.rows]
