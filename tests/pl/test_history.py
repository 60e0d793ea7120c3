"""Pictures of training."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from histoscribe._errors import OptionError
from histoscribe.pl import history


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def _rows(*, val: bool = True) -> list[dict[str, float]]:
    """Six epochs, the context from the third on; the lowest validation loss is that of epoch 4."""
    rows = []
    for epoch, held_out in enumerate((9.0, 8.0, 7.0, 6.0, 5.0, 5.5)):
        row = {"epoch": epoch, "train_igr": 4.0 - 0.1 * epoch, "lr": 0.1}
        row |= {"train_context": 3.0 - 0.2 * epoch} if epoch > 1 else {}
        row["train_loss"] = row["train_igr"] + row.get("train_context", 0.0)
        row |= {"val_loss": held_out, "val_igr": held_out / 2, "val_context": held_out / 2} if val else {}
        rows.append(row)
    return rows


def _lines(ax: Axes) -> dict[tuple[str, bool], Any]:
    """Curves by colour and whether they are solid."""
    drawn = [line for line in ax.lines if line.get_linewidth() == 1.6]
    return {(to_hex(line.get_color()), line.get_linestyle() == "-"): line for line in drawn}


def _legend(ax: Axes) -> dict[str, str]:
    legend = ax.get_legend()
    assert legend is not None
    return {
        text.get_text(): to_hex(line.get_color())
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }


def test_each_loss_has_a_colour_and_each_part_a_style() -> None:
    ax = history(_rows())
    lines, colors = _lines(ax), _legend(ax)
    assert list(colors) == ["total", "igr", "context", "training", "validation"]
    assert len({colors[name] for name in ("total", "igr", "context")}) == 3
    frame = pd.DataFrame(_rows())
    for name, column in (("total", "loss"), ("igr", "igr"), ("context", "context")):
        for part, solid in (("train", True), ("val", False)):
            values = frame[f"{part}_{column}"].dropna()
            line = lines[colors[name], solid]
            np.testing.assert_array_equal(line.get_xdata(), frame["epoch"][values.index])
            np.testing.assert_array_equal(line.get_ydata(), values)
    assert len(lines) == 6


def test_the_epoch_that_was_kept_is_marked() -> None:
    ax = history(_rows())
    marks = [np.asarray(line.get_xydata()).tolist() for line in ax.lines if line.get_marker() == "o"]
    assert marks == [[[4.0, 5.0]]]
    assert [text.get_text() for text in ax.texts] == ["kept: epoch 4"]


def test_without_validation_nothing_is_marked_and_nothing_is_said_of_it() -> None:
    ax = history(_rows(val=False))
    assert not list(ax.texts)
    assert list(_legend(ax)) == ["total", "igr", "context", "training"]


def test_model_history_and_table_are_one(tmp_path: Any) -> None:
    pd.DataFrame(_rows()).to_csv(tmp_path / "metrics.csv", index=False)
    shown = [
        history(one)
        for one in (SimpleNamespace(history=_rows()), pd.DataFrame(_rows()), pd.read_csv(tmp_path / "metrics.csv"))
    ]
    for ax in shown:
        for key, line in _lines(history(_rows())).items():
            np.testing.assert_allclose(_lines(ax)[key].get_xydata(), line.get_xydata())


def test_axes_are_drawn_in_and_one_epoch_is_seen() -> None:
    own = plt.subplots()[1]
    assert history([{"epoch": 0, "train_loss": 2.0}], ax=own) is own
    assert [line.get_marker() for line in own.lines] == ["o"]
    assert list(_legend(own)) == ["loss", "training"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (SimpleNamespace(history=[]), "no epochs in SimpleNamespace"),
        ([], "no epochs in list"),
        ("metrics.csv", "no epochs in str"),
        (3, "no epochs in int"),
        ([{"epoch": 1}], r"a table of \['epoch'\]"),
        (pd.DataFrame({"train_loss": [1.0]}), "a table of"),
    ],
)
def test_what_was_not_trained_is_refused(wrong: Any, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        history(wrong)
