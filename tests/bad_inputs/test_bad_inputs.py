"""Every row of the catalogue of bad inputs, on every public function that it names."""

import re
from pathlib import Path

import pytest

from . import catalogue
from .quick import WEEKLY, quick
from .row import Elsewhere, Row, run

ROOT = Path(__file__).resolve().parents[2]
ROWS = [row for row in catalogue.rows() if isinstance(row, Row)]
ELSEWHERE = [row for row in catalogue.rows() if isinstance(row, Elsewhere)]
TRIES = [(row, name) for row in ROWS for name in row.tried]
QUICK = quick(TRIES)
MARKS = [() if one else pytest.mark.weekly for one in QUICK]
PARAMS = [pytest.param(*one, id=f"{one[0].id}-{one[1]}", marks=marks) for one, marks in zip(TRIES, MARKS, strict=True)]


@pytest.mark.parametrize(("row", "name"), PARAMS)
def test_row(row: Row, name: str) -> None:
    run(row, name)


def test_every_kind_of_input_is_tried_at_every_step() -> None:
    tried = {row.id for (row, _), one in zip(TRIES, QUICK, strict=True) if one}
    assert {row.id for row in ROWS} - tried == WEEKLY


@pytest.mark.parametrize("row", ELSEWHERE, ids=lambda row: row.id)
def test_row_has_its_tests(row: Elsewhere) -> None:
    assert row.tests
    for place in row.tests:
        path, _, name = place.partition("::")
        assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), flags=re.MULTILINE), place


def test_every_id_is_tried_or_left_out_for_a_reason() -> None:
    tried = {row.id for row in catalogue.rows()}
    left = catalogue.left_out()
    assert tried | set(left) == set(catalogue.ids())
    assert not tried & set(left)
    assert all(len(reason) > 20 for reason in left.values())
