"""Pictures of probes."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_hex

from histoscribe._errors import OptionError
from histoscribe.pl import probe


@pytest.fixture(autouse=True)
def _closed() -> Any:
    yield
    plt.close("all")


def _labels(rep: str, values: list[float], *, split: str = "patient") -> pd.DataFrame:
    frame = pd.DataFrame({"balanced_accuracy": values, "test": [f"P{k}" for k in range(len(values))]})
    return frame.assign(rep=rep, split=split, chance=0.25, C=1.0)


def _genes(rep: str, shift: float, *, n: int = 40) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    names = ("f1", "s1"), ("f2", "s2"), ("f2", "s3")
    parts = [
        pd.DataFrame({"gene": [f"G{k}" for k in range(n)], "pearson": rng.normal(shift, 0.1, n)}).assign(
            test=test, section=section
        )
        for test, section in names
    ]
    return pd.concat(parts, ignore_index=True).assign(rep=rep, split="patient")


def _scatters(ax: Axes) -> list[Any]:
    return [c for c in ax.collections if c.get_zorder() == 3]


def _dots(ax: Axes) -> list[Any]:
    """Positions of the dots of each row, from above down."""
    return [np.asarray(c.get_offsets()) for c in _scatters(ax)]


def _means(ax: Axes) -> list[float]:
    return [float(np.asarray(line.get_xdata())[0]) for line in ax.lines if line.get_linewidth() == 2]


def _rows(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_each_patient_is_a_dot_at_its_value_with_the_mean_and_chance() -> None:
    frame = pd.concat([_labels("image", [0.6, 0.4, 0.5]), _labels("genes", [0.7, 0.9, 0.8])])
    ax = probe(frame)
    assert _rows(ax) == ["image", "genes"]
    assert ax.yaxis_inverted()
    for at, (dots, values) in enumerate(zip(_dots(ax), ([0.6, 0.4, 0.5], [0.7, 0.9, 0.8]), strict=True)):
        np.testing.assert_allclose(dots[:, 0], values)
        assert (np.abs(dots[:, 1] - at) < 0.4).all()
    assert _means(ax) == pytest.approx([0.5, 0.8])
    (chance,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert np.asarray(chance.get_xdata()).tolist() == [0.25, 0.25]
    assert ax.get_xlabel() == "balanced accuracy"


def test_a_patient_has_one_colour_in_all_rows_and_in_the_legend() -> None:
    ax = probe(pd.concat([_labels("image", [0.6, 0.4]), _labels("genes", [0.7, 0.9]).iloc[::-1]]))
    first, second = [[to_hex(color) for color in c.get_facecolor()] for c in _scatters(ax)]
    assert first == second[::-1]
    assert len(set(first)) == 2
    legend = ax.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["P0", "P1"]


def test_same_patient_splits_have_rows_of_their_own() -> None:
    frame = pd.concat([_labels("image", [0.6]), _labels("image", [0.9], split="same patient")])
    assert _rows(probe(frame)) == ["image\n(patient)", "image\n(same patient)"]
    assert _rows(probe(frame.iloc[1:])) == ["image\n(same patient)"]


def test_genes_are_a_distribution_with_a_dot_for_each_section() -> None:
    frame = pd.concat([_genes("image", 0.4), _genes("coordinates", 0.0)])
    ax = probe(frame)
    by_section = frame.groupby(["rep", "test", "section"], sort=False)["pearson"].mean()
    for dots, rep in zip(_dots(ax), ("image", "coordinates"), strict=True):
        np.testing.assert_allclose(dots[:, 0], by_section[rep])
    by_fold = by_section.groupby(["rep", "test"], sort=False).mean().groupby("rep", sort=False).mean()
    assert _means(ax) == pytest.approx(list(by_fold))
    bodies = [c for c in ax.collections if isinstance(c, PolyCollection)]
    assert len(bodies) == 2
    by_gene = frame[frame["rep"] == "image"].groupby("gene")["pearson"].mean()
    extent = bodies[0].get_paths()[0].get_extents()
    assert (extent.x0, extent.x1) == pytest.approx((by_gene.min(), by_gene.max()))
    (chance,) = [line for line in ax.lines if line.get_linestyle() == "--"]
    assert np.asarray(chance.get_xdata()).tolist() == [0, 0]


def test_intervals_are_drawn_where_there_are_some() -> None:
    frame = _labels("image", [0.6, 0.4]).assign(low=[0.5, 0.3], high=[0.8, 0.45])
    (lines,) = [c for c in probe(frame).collections if c.get_zorder() == 2.4]
    ends = [np.asarray(path.vertices)[:, 0].tolist() for path in lines.get_paths()]
    assert ends == [[0.5, 0.8], [0.3, 0.45]]
    assert not [c for c in probe(frame, metric="C").collections if c.get_zorder() == 2.4]


def test_given_axes_are_drawn_in_and_another_metric_has_no_chance_line() -> None:
    own = plt.subplots()[1]
    assert probe(_labels("image", [0.5, 0.6]), metric="C", ax=own) is own
    assert not [line for line in own.lines if line.get_linestyle() == "--"]
    assert len(plt.get_fignums()) == 1


def test_names_are_written_as_they_are_and_many_patients_have_no_legend() -> None:
    ax = probe(_labels("$a_b$", [0.5] * 20))
    ax.figure.canvas.draw()
    assert _rows(ax) == ["$a_b$"]
    assert not ax.get_yticklabels()[0].get_parse_math()
    assert ax.get_legend() is None


def test_a_gene_without_a_correlation_is_left_out() -> None:
    frame = _genes("image", 0.3)
    frame.loc[frame["gene"] == "G0", "pearson"] = np.nan
    assert np.isfinite(_means(probe(frame))).all()


@pytest.mark.parametrize(
    ("frame", "metric", "says"),
    [
        (pd.DataFrame({"rep": ["a"]}), None, r"no columns \['split', 'test'\]"),
        (_labels("image", []), None, "no rows"),
        (_labels("image", [0.5]), "no", "metric: found 'no'"),
        (_labels("image", [0.5]).drop(columns="balanced_accuracy"), None, "metric"),
    ],
)
def test_what_is_no_probe_is_refused(frame: pd.DataFrame, metric: str | None, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        probe(frame, metric=metric)
    assert not plt.get_fignums()
