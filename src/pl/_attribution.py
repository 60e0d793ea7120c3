"""Attribution of a spot: its tile, what of it counts, the same by random weights, and the genes that count."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .._attribution import Attribution
from .._checks import check, is_count
from .._types import check_types
from ._colors import DIVERGING, NO_VALUE
from ._text import INK, NORMAL, SMALL, TITLE, shortened

_SIDE, _ROW = 2.4, 0.17  # inches: of a picture, and of a gene
_TOP, _BOTTOM, _EDGE, _GAP = 0.72, 0.58, 0.1, 0.15
_TICK = 0.25  # half of the last number of an axis
_KEY, _KEY_TEXT, _NAMES = 0.09, 0.62, 1.25  # width of a colour bar, of its numbers, of the names of genes
_BOLDEST = 0.9  # opacity of a square
_PALE = 0.35  # white that the tile under a map is mixed with
_SAID = (
    "red pulls image and genes together, blue apart, in units of their cosine; ρ: rank correlation with random weights"
)


def attribution(attribution: Attribution, *, n_genes: int = 15) -> Figure:
    """Draw which pixels and which genes pull a spot's image and genes together.

    From the left: the tile; the tile in grey under the map of its squares, red where a square pulls image and genes
    together and blue where it pulls them apart; the same map from the model with random weights; and the genes with
    the largest numbers of either sign. Each map has limits of its own, the same on both sides of zero. Where the
    second map is like the first (ρ is their rank correlation), neither shows what the model learned.

    Parameters
    ----------
    attribution
        From :func:`histoscribe.tl.attribute`.
    n_genes
        Genes to draw.

    Returns
    -------
    The figure.

    Raises
    ------
    OptionError
        ``n_genes`` is no whole number above 0.

    Examples
    --------
    >>> found = hs.tl.attribute(adata, model, spot, encoder="stain_stats", gene_model=pca)
    >>> hs.pl.attribution(found)
    """
    _check(locals())
    genes = attribution.genes.iloc[:n_genes]
    tall, beside = max(_SIDE, _ROW * len(genes)), _SIDE + _GAP
    map_wide = beside + _KEY + _KEY_TEXT
    width, height = _EDGE + beside + 2 * map_wide + _NAMES + _SIDE + _TICK + _EDGE, _TOP + tall + _BOTTOM
    figure = plt.figure(figsize=(width, height))
    try:
        lefts = _EDGE + beside + np.array([-beside, 0, map_wide, 2 * map_wide + _NAMES])
        axes = [_axes(figure, left, _SIDE, tall if k == 3 else _SIDE) for k, left in enumerate(lefts)]
        keys = [_axes(figure, left + _SIDE + 0.06, _KEY, _SIDE) for left in lefts[1:3]]
        _tile(axes[0], attribution.tile)
        _map(axes[1], keys[0], attribution.tile, attribution.pixels, f"squares, by {attribution.method}")
        random = f"random weights (ρ = {_rho(attribution, 'pixels')})"
        _map(axes[2], keys[1], attribution.tile, attribution.pixels_random, random)
        _bars(axes[3], genes, f"{_share(genes, attribution)} (ρ = {_rho(attribution, 'genes')})")
        _write(figure, attribution)
    except BaseException:
        plt.close(figure)
        raise
    return figure


def _check(given: Mapping[str, Any]) -> None:
    check_types(attribution, given)
    check("n_genes", given["n_genes"], is_count(given["n_genes"]), "a whole number, 1 or more")


def _axes(figure: Figure, left: float, width: float, height: float) -> Axes:
    """Axes of this size in inches, below the titles."""
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, (high - _TOP - height) / high, width / wide, height / high))


def _write(figure: Figure, found: Attribution) -> None:
    high = figure.get_figheight()
    title = f"spot {found.spot} of {found.section}: cosine of image and genes {found.cosine:.2f}"
    figure.suptitle(title, y=1 - 0.08 / high, va="top", size=TITLE, color=INK, parse_math=False)
    figure.text(_EDGE / figure.get_figwidth(), 0.08 / high, _SAID, va="bottom", size=SMALL, color=INK)


def _rho(found: Attribution, what: str) -> str:
    value = found.agreement_with_random.get(what, np.nan)
    return f"{value:.2f}" if np.isfinite(value) else "undefined"


def _share(genes: pd.Series, found: Attribution) -> str:
    kind = str(genes.index.name or "gene")
    kinds = kind.replace("column", "columns", 1) if kind.startswith("column") else f"{kind}s"
    return f"{len(genes)} of {len(found.genes):,} {kinds}"


def _tile(ax: Axes, tile: NDArray[np.uint8]) -> None:
    ax.imshow(tile, aspect="auto")
    _bare(ax, "tile")


def _map(ax: Axes, key: Axes, tile: NDArray[np.uint8], values: NDArray[np.float64], title: str) -> None:
    """Draw squares over a tile, the fainter the smaller their number, and the key of their colours."""
    height, width = tile.shape[:2]
    ax.imshow(_PALE + (1 - _PALE) * tile.mean(axis=2) / 255, cmap="gray", vmin=0, vmax=1, aspect="auto")
    limit = float(np.abs(values).max()) or 1.0
    norm = Normalize(-limit, limit)
    ax.imshow(
        values,
        cmap=DIVERGING,
        norm=norm,
        alpha=_BOLDEST * np.sqrt(np.abs(values) / limit),
        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
        interpolation="nearest",
        aspect="auto",
    )
    _bare(ax, title)
    bar = key.figure.colorbar(ScalarMappable(norm, DIVERGING), cax=key, ticks=MaxNLocator(5, symmetric=True))
    bar.outline.set_visible(False)
    key.tick_params(labelsize=SMALL, labelcolor=INK, color=INK)


def _bare(ax: Axes, title: str) -> None:
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(color=NO_VALUE, linewidth=0.8)
    ax.set_title(title, size=NORMAL, color=INK, parse_math=False)


def _bars(ax: Axes, genes: pd.Series, title: str) -> None:
    at, values = np.arange(len(genes)), genes.to_numpy()
    low, high = colormaps[DIVERGING](0.12), colormaps[DIVERGING](0.88)
    ax.barh(at, values, height=0.72, color=[high if value > 0 else low for value in values])
    ax.axvline(0, color=INK, lw=0.8)
    ax.set_ylim(max(len(genes), 1) - 0.4, -0.6)
    ax.set_yticks(at, [shortened(str(name), SMALL, _NAMES - 0.15) for name in genes.index])
    for label in ax.get_yticklabels():
        label.set_parse_math(False)
    ax.tick_params(labelsize=SMALL, labelcolor=INK, color=INK)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="x", color=NO_VALUE, lw=0.5)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.set_title(title, loc="right", size=NORMAL, color=INK, parse_math=False)
