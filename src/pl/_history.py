"""How training went: losses by epoch."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .._errors import OptionError
from .._types import check_types
from ._colors import NO_VALUE, PALETTE
from ._text import INK, NORMAL, SMALL, written

_SIZE = (5.2, 3.2)  # inches
_PARTS = {"train": "-", "val": (0, (4, 2))}
_SAID = {"train": "training", "val": "validation"}
_TOTAL = "loss"


def history(model: Any, *, ax: Axes | None = None) -> Axes:
    """Draw how training went: each loss by epoch, on the training spots (solid) and on those held out (dashed).

    The total, which is what is minimised, is dark; the losses that it is the sum of have a colour each. The line marks
    the epoch whose weights were kept, that of the lowest total on the spots held out.

    Parameters
    ----------
    model
        A model that was trained; or its ``history``, a dict for each epoch; or the table of a ``metrics.csv``.
    ax
        Axes to draw in; None makes a figure.

    Returns
    -------
    The axes.

    Raises
    ------
    OptionError
        There is no history, as of a model that is fitted at once.

    Examples
    --------
    >>> model = hs.tl.fuse(adata, hs.nn.Contrastive())
    >>> hs.pl.history(model)
    """
    check_types(history, locals())
    frame = _frame(model)
    names = list(dict.fromkeys(name.partition("_")[2] for name in _losses(frame)))
    names.sort(key=lambda name: name != _TOTAL)
    colors = dict(zip(names, [INK, *PALETTE[: len(names) - 1]] if _TOTAL in names else PALETTE, strict=False))
    if ax is None:
        ax = plt.subplots(figsize=_SIZE, layout="constrained")[1]
    for name, color in colors.items():
        for part, style in _PARTS.items():
            if f"{part}_{name}" in frame:
                _draw(ax, frame["epoch"], frame[f"{part}_{name}"], color, style)
    if f"val_{_TOTAL}" in frame and frame[f"val_{_TOTAL}"].notna().any():
        _kept(ax, frame)
    _decorate(ax, frame, colors)
    return ax


def _frame(model: Any) -> pd.DataFrame:
    rows = getattr(model, "history", model)
    usable = isinstance(rows, pd.DataFrame) or (
        isinstance(rows, Sequence) and not isinstance(rows, str) and all(isinstance(row, dict) for row in rows)
    )
    frame = pd.DataFrame(rows) if usable else pd.DataFrame()
    if "epoch" not in frame or not _losses(frame):
        found = (
            f"a table of {list(map(str, frame.columns))[:8]}"
            if len(frame.columns)
            else f"no epochs in {type(model).__name__}"
        )
        fix = "Pass what hs.tl.fuse or hs.tl.pretrain_genes returned, trained for an epoch or more."
        raise OptionError("model", found=found, expected="a model that was trained by epochs", fix=fix)
    return frame.sort_values("epoch")


def _losses(frame: pd.DataFrame) -> list[str]:
    numeric = [str(name) for name in frame.select_dtypes("number").columns]
    return [name for name in numeric if name.startswith(tuple(f"{part}_" for part in _PARTS))]


def _draw(ax: Axes, epoch: pd.Series, loss: pd.Series, color: str, style: Any) -> None:
    there = loss.notna().to_numpy()
    alone = there.sum() == 1  # a line of one point is not seen
    ax.plot(epoch[there], loss[there], color=color, ls=style, lw=1.6, marker="o" if alone else None, markersize=4)


def _kept(ax: Axes, frame: pd.DataFrame) -> None:
    best = frame.loc[frame[f"val_{_TOTAL}"].idxmin()]
    ax.axvline(best["epoch"], color=INK, lw=0.9, ls=":", zorder=1)
    ax.plot(best["epoch"], best[f"val_{_TOTAL}"], "o", color="white", markeredgecolor=INK, markersize=5, zorder=3)
    above, offset = ax.get_xaxis_transform(), (0.0, 3.0)
    said = f"kept: epoch {int(best['epoch'])}"
    ax.annotate(said, (best["epoch"], 1), offset, above, "offset points", ha="center", size=SMALL, color=INK)


def _decorate(ax: Axes, frame: pd.DataFrame, colors: dict[str, str]) -> None:
    ax.set_xlabel("epoch", size=NORMAL, color=INK)
    ax.set_ylabel("loss", size=NORMAL, color=INK)
    ax.tick_params(labelsize=NORMAL, labelcolor=INK, color=INK)
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="y", color=NO_VALUE, lw=0.5, zorder=0)
    ax.set_axisbelow(True)
    ax.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if len(frame) == 1:
        ax.set_xlim(frame["epoch"].iloc[0] - 1, frame["epoch"].iloc[0] + 1)
    names = {"total" if name == _TOTAL and len(colors) > 1 else name: color for name, color in colors.items()}
    lines = [Line2D([], [], color=color, lw=1.6, label=name) for name, color in names.items()]
    parts = [part for part in _PARTS if any(str(name).startswith(f"{part}_") for name in frame)]
    lines += [Line2D([], [], color=INK, ls=_PARTS[part], lw=1.2, label=_SAID[part]) for part in parts]
    legend = ax.legend(handles=lines, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=SMALL)
    for text, line in zip(legend.get_texts(), lines, strict=True):
        text.set_color(INK)
        written(text, str(line.get_label()))
