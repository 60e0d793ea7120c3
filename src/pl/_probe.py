"""Results of probes: representations side by side."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from .._errors import OptionError
from .._types import check_types
from ._colors import NO_VALUE, PALETTE
from ._text import INK, NORMAL, SMALL, written

_DEFAULTS = ("balanced_accuracy", "recall", "pearson")
_CHANCE = {"pearson": 0.0, "spearman": 0.0, "pearson_pooled": 0.0}
_LIKE_CHANCE = ("balanced_accuracy", "recall")  # what the column chance speaks of
_WITH_INTERVAL = ("balanced_accuracy", "pearson")  # what low and high speak of
_ROW, _WIDTH, _REST = 0.42, 5.2, 0.9  # inches
_MOST_NAMED = 12
_SPREAD = 0.22  # of a row, that dots are set apart


def probe(frame: pd.DataFrame, *, metric: str | None = None, ax: Axes | None = None) -> Axes:
    """Draw a probe: a row for each representation, a dot for what was left out, a bar at their mean, a line at chance.

    Intervals over blocks of tissue are drawn where the probe was asked for them (``n_bootstrap``).
    Of an expression probe, the shape behind the dots is the distribution over genes, each gene's mean over sections;
    a dot is the mean over the genes of a section. Same-patient splits have rows of their own, named so.

    Parameters
    ----------
    frame
        From :func:`histoscribe.tl.linear_probe` or :func:`histoscribe.tl.expression_probe`; rows of several may be
        concatenated.
    metric
        Column to draw; balanced accuracy, recall or Pearson correlation by default, whichever there is.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    The axes.

    Raises
    ------
    OptionError
        The frame is not a probe's, or has no such column.

    Examples
    --------
    >>> frame = hs.tl.linear_probe(sections, "region", use_rep={"image": "X_image", "coordinates": "spatial"})
    >>> hs.pl.probe(frame)
    """
    check_types(probe, locals())
    metric = _metric(frame, metric)
    rows = _rows(frame)
    if ax is None:
        height = _ROW * len(rows) + _REST
        ax = plt.subplots(figsize=(_WIDTH, height), layout="constrained")[1]
    colors = _colors(frame)
    for at, own in enumerate(rows.values()):
        _draw(ax, at, own, metric, colors)
    _chance(ax, frame, metric)
    _decorate(ax, list(rows), metric, colors)
    return ax


def _metric(frame: pd.DataFrame, metric: str | None) -> str:
    lacking = sorted({"rep", "split", "test"} - set(frame.columns))
    if lacking or frame.empty:
        found = f"no columns {lacking}" if lacking else "no rows"
        fix = "Pass what hs.tl.linear_probe or hs.tl.expression_probe returned."
        raise OptionError("frame", found=found, expected="the result of a probe", fix=fix)
    numeric = [str(name) for name in frame.select_dtypes("number").columns]
    metric = next((name for name in _DEFAULTS if name in numeric), "") if metric is None else metric
    if metric not in numeric:
        raise OptionError("metric", found=repr(metric), expected=f"one of {numeric}", fix="Name one of these.")
    return metric


def _rows(frame: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Parts of the frame by what their row is called, in the order of the frame."""
    several = set(frame["split"]) != {"patient"}
    return {
        f"{rep}\n({split})" if several else str(rep): own
        for (rep, split), own in frame.groupby(["rep", "split"], sort=False)
    }


def _colors(frame: pd.DataFrame) -> dict[str, str]:
    names = list(dict.fromkeys(frame["test"].astype(str)))
    return {name: PALETTE[k] if k < _MOST_NAMED else INK for k, name in enumerate(names)}


def _draw(ax: Axes, at: int, own: pd.DataFrame, metric: str, colors: Mapping[str, str]) -> None:
    if "gene" in own:
        _distribution(ax, at, own.groupby("gene")[metric].mean().dropna().to_numpy(dtype=float))
        shown = [metric, *[name for name in ("low", "high") if name in own]]
        own = own.groupby(["test", "section"], sort=False)[shown].mean().reset_index()
    values = own[metric].to_numpy(dtype=float)
    faces = [colors[str(name)] for name in own["test"]]
    apart = np.linspace(-_SPREAD, _SPREAD, len(own)) if len(own) > 1 else np.zeros(1)
    if metric in _WITH_INTERVAL and {"low", "high"} <= set(own):
        ax.hlines(at + apart, own["low"], own["high"], color=faces, lw=1, alpha=0.7, zorder=2.4)
    ax.scatter(values, at + apart, s=26, color=faces, edgecolors="white", linewidths=0.6, zorder=3)
    mean = own.groupby("test")[metric].mean().mean()
    ax.plot([mean, mean], [at - 0.36, at + 0.36], color=INK, lw=2, solid_capstyle="butt", zorder=2.5)


def _distribution(ax: Axes, at: int, values: NDArray[np.float64]) -> None:
    if len(values) < 2 or np.ptp(values) == 0:
        return
    parts = ax.violinplot(values, positions=[at], orientation="horizontal", widths=0.8, showextrema=False)
    for body in parts["bodies"]:  # type: ignore[attr-defined]
        body.set(facecolor=NO_VALUE, edgecolor="none", alpha=0.7, zorder=1)


def _chance(ax: Axes, frame: pd.DataFrame, metric: str) -> None:
    level = _CHANCE.get(metric)
    if metric in _LIKE_CHANCE and "chance" in frame:
        level = float(frame["chance"].mean())
    if level is not None:
        ax.axvline(level, color=INK, lw=0.9, ls=(0, (4, 3)), zorder=2)
        above, offset = ax.get_xaxis_transform(), (0.0, 3.0)
        ax.annotate("chance", (level, 1), offset, above, "offset points", ha="center", size=SMALL, color=INK)


def _decorate(ax: Axes, names: list[str], metric: str, colors: Mapping[str, str]) -> None:
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_yticks(range(len(names)), names)
    for label, name in zip(ax.get_yticklabels(), names, strict=True):
        written(label, name)
    ax.set_xlabel(metric.replace("_", " "), size=NORMAL, color=INK)
    ax.tick_params(labelsize=NORMAL, labelcolor=INK, color=INK)
    ax.tick_params(axis="y", length=0)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.grid(axis="x", color=NO_VALUE, lw=0.5, zorder=0)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(6))
    if len(colors) <= _MOST_NAMED:
        for name, color in colors.items():
            ax.scatter([], [], s=26, color=color, label=name)
        legend = ax.legend(title="left out", loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=SMALL)
        legend.get_title().set(size=SMALL, color=INK)
        for text, name in zip(legend.get_texts(), colors, strict=True):
            written(text, name)
