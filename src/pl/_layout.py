"""Figures laid out by measuring: panels of one exact size, and as much room around each as its texts take."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

Place: TypeAlias = tuple[int, int]  # row, column
Size: TypeAlias = tuple[float, float]  # width and height in inches
Draw: TypeAlias = Callable[[Axes, Size], None]

_EDGE = 0.06  # inches around the figure


def laid_out(draws: Mapping[Place, Draw], size: Size, *, gap: float, above: float = 0.0, below: float = 0.0) -> Figure:
    """Make a figure of a grid of panels.

    Parameters
    ----------
    draws
        What draws the panel at each place.
    size
        Of a panel, without what stands around it.
    gap
        Between panels, inches.
    above, below
        Free bands for the texts of the whole figure, inches.
    """
    figure = plt.figure(figsize=size)
    try:
        axes = {place: figure.add_axes((0, 0, 1, 1), label=f"{place}") for place in draws}
        for place, draw in draws.items():
            draw(axes[place], size)
        _spread(figure, axes, size, gap, (above, below))
    except BaseException:
        plt.close(figure)
        raise
    return figure


def _spread(figure: Figure, axes: Mapping[Place, Axes], size: Size, gap: float, bands: tuple[float, float]) -> None:
    """Move the axes apart by what they need, and make the figure as large as that takes."""
    around = {place: _overhang(ax, size) for place, ax in axes.items()}
    left, right = _widest(around, 1, 0), _widest(around, 1, 2)
    bottom, top = _widest(around, 0, 1), _widest(around, 0, 3)
    x = _EDGE + np.cumsum(left + np.append(0, right[:-1] + size[0] + gap))  # left end of each column's panels
    y = _EDGE + bands[0] + np.cumsum(top + np.append(0, bottom[:-1] + size[1] + gap))  # upper end, from above
    width = x[-1] + size[0] + right[-1] + _EDGE
    height = y[-1] + size[1] + bottom[-1] + bands[1] + _EDGE
    figure.set_size_inches(width, height)
    for (row, column), ax in axes.items():
        lower = height - y[row] - size[1]
        ax.set_position((x[column] / width, lower / height, size[0] / width, size[1] / height))


def _overhang(ax: Axes, size: Size) -> NDArray[np.float64]:
    """Inches that texts and keys reach beyond the panel: left, bottom, right, top."""
    box = ax.get_tightbbox()
    if box is None:
        return np.zeros(4)
    x0, y0, x1, y1 = np.array(box.extents) / ax.figure.get_dpi()
    return np.maximum(0.0, [-x0, -y0, x1 - size[0], y1 - size[1]])


def _widest(around: Mapping[Place, NDArray[np.float64]], axis: int, side: int) -> NDArray[np.float64]:
    """Largest overhang at one side of each row (axis 0) or column (axis 1)."""
    most = np.zeros(1 + max(place[axis] for place in around))
    for place, overhang in around.items():
        most[place[axis]] = max(most[place[axis]], overhang[side])
    return most
