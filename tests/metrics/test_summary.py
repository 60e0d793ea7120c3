import numpy as np
import pandas as pd
import pytest

from histoscribe._errors import OptionError
from histoscribe.metrics import summarize_expression


def _frame() -> pd.DataFrame:
    """Two folds, the second with two sections; one gene without a correlation."""
    rows = [
        ("f1", "s1", "g1", 0.1),
        ("f1", "s1", "g2", 0.3),
        ("f2", "s2", "g1", 0.5),
        ("f2", "s2", "g2", np.nan),
        ("f2", "s3", "g1", 0.2),
        ("f2", "s3", "g2", 0.4),
    ]
    frame = pd.DataFrame(rows, columns=["test", "section", "gene", "pearson"])
    frame = frame.assign(rep="x", split="patient", constant=frame["pearson"].isna(), pearson_pooled=0.6)
    return frame.assign(spearman=frame["pearson"] / 2, mse=1.0, mae=2.0)


def test_means_are_of_genes_then_sections_then_folds() -> None:
    (row,) = summarize_expression(_frame()).to_dict("records")
    assert row["pearson"] == pytest.approx(((0.1 + 0.3) / 2 + (0.5 + (0.2 + 0.4) / 2) / 2) / 2)
    assert row["spearman"] == pytest.approx(row["pearson"] / 2)
    assert row["share_above"] == pytest.approx((1 / 2 + (1 + 1 / 2) / 2) / 2)
    assert (row["pearson_pooled"], row["mse"], row["mae"]) == pytest.approx((0.6, 1, 2))
    assert [row[f"n_{what}"] for what in ("genes", "constant", "sections", "folds")] == [2, 1, 3, 2]


def test_folds_and_sections_have_rows_of_their_own_if_asked() -> None:
    by_fold = summarize_expression(_frame(), by=("rep", "test"), threshold=0.45)
    assert by_fold["pearson"].tolist() == pytest.approx([0.2, (0.5 + 0.3) / 2])
    assert by_fold["share_above"].tolist() == pytest.approx([0, 0.5])
    by_section = summarize_expression(_frame(), by=("rep", "section"))
    assert by_section["pearson"].tolist() == pytest.approx([0.2, 0.5, 0.3])
    assert by_section["n_constant"].tolist() == [0, 1, 0]


def test_another_frame_is_refused() -> None:
    with pytest.raises(OptionError, match=r"frame: found no columns \['gene'\]"):
        summarize_expression(_frame().drop(columns="gene"))
