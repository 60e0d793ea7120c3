"""What of a section is shown by default."""

import numpy as np
import pytest

from histoscribe._units import spacing
from histoscribe.pl._extent import diameter_of, extent, framed, on_image, overlap

SPOTS = (100.0, 200.0, 500.0, 400.0)


def test_a_margin_shows_the_tissue_beyond_the_outermost_spots() -> None:
    assert framed(SPOTS, 40.0, (10_000, 10_000)) == (30, 130, 570, 470)  # 1.75 pitches
    assert framed(SPOTS, 1.0, (10_000, 10_000)) == (88, 188, 512, 412)  # 3 % of 400: spots too small to see
    assert framed(SPOTS, 40.0, None) == (80, 180, 520, 420)


def test_the_margin_ends_where_the_image_does() -> None:
    assert framed(SPOTS, 100.0, (550.0, 430.0)) == (0, 25, 550, 430)


def test_spots_over_the_border_are_not_cut() -> None:
    assert framed((-20.0, 200.0, 500.0, 400.0), 100.0, (490.0, 390.0)) == (-20, 25, 500, 400)


def test_only_strays_are_outside_an_image() -> None:
    xy = np.array([[50, 50], [104, 50], [50, -4], [106, 50], [50, 9e9]])
    np.testing.assert_array_equal(on_image(xy, (100, 100), 5), [True, True, True, False, False])
    assert on_image(xy + 1000, (100, 100), 5).all()  # the image is another one


@pytest.mark.parametrize(
    ("said", "apart", "diameter"),
    [(55.0, 100.0, 55.0), (np.nan, 100.0, 60.0), (1.0, 100.0, 60.0), (0.0, 100.0, 60.0), (7.0, None, 7.0)],
)
def test_a_diameter_that_nobody_says_is_a_share_of_the_pitch(said: float, apart: float, diameter: float) -> None:
    assert diameter_of(said, apart) == diameter


def test_a_lone_spot_has_a_size_and_a_box() -> None:
    xy = np.array([[10.0, 20.0], [10.0, 20.0]])
    assert spacing(xy) is None
    diameter = diameter_of(np.nan, None)
    x0, y0, x1, y1 = framed(extent(xy, diameter), None, None)
    assert x1 - x0 > diameter > 0
    assert y1 - y0 > diameter


@pytest.mark.parametrize(
    ("box", "shares"),
    [
        ((0, 0, 101, 201), True),
        ((0, 0, 100, 201), False),
        ((499, 399, 9999, 9999), True),
        ((300, 300, 200, 350), False),
        ((np.nan, 0, 9999, 9999), False),
        ((0, 9999), False),
    ],
)
def test_boxes_that_overlap(box: tuple[float, ...], shares: bool) -> None:
    assert overlap(box, SPOTS) is shares
