"""Every row of the catalogue of bad inputs, on every public function that it names."""

import re
from pathlib import Path

import pytest

from . import catalogue
from .row import Elsewhere, Row, run

ROOT = Path(__file__).resolve().parents[2]
ROWS = [row for row in catalogue.rows() if isinstance(row, Row)]
ELSEWHERE = [row for row in catalogue.rows() if isinstance(row, Elsewhere)]
TRIES = [(row, name) for row in ROWS for name in row.tried]


@pytest.mark.parametrize(("row", "name"), TRIES, ids=[f"{row.id}-{name}" for row, name in TRIES])
def test_row(row: Row, name: str) -> None:
    run(row, name)


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
