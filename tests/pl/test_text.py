"""Names in figures."""

import pytest

from histoscribe.pl._text import shortened, width, wrapped

LONG = "HALLMARK_EPITHELIAL_MESENCHYMAL_TRANSITION"


def test_width_grows_with_text_and_size() -> None:
    assert width("", 9) == 0
    assert width("mm", 9) > width("m", 9) > 0
    assert width("m", 18) == pytest.approx(2 * width("m", 9), rel=0.01)


@pytest.mark.parametrize("inches", [0.8, 1.5, 2.5])
def test_wrapped_text_fits_and_loses_nothing_but_what_is_marked(inches: float) -> None:
    lines = wrapped(LONG, 10, inches, lines=3).splitlines()
    assert len(lines) <= 3
    assert all(width(line, 10) <= inches for line in lines)
    if "…" not in "".join(lines):
        assert "".join(lines) == LONG


def test_text_that_fits_is_left_alone() -> None:
    assert wrapped("two words", 10, 5) == "two words"
    assert shortened("two words", 10, 5) == "two words"


def test_shortened_text_keeps_both_ends() -> None:
    short = shortened(LONG, 9, 1.5)
    head, tail = short.split("…")
    assert LONG.startswith(head)
    assert LONG.endswith(tail)
    assert width(short, 9) <= 1.5
