"""Rows of the catalogue: images."""

from . import (
    rows_i_broken,
    rows_i_colours,
    rows_i_files,
    rows_i_kinds,
    rows_i_names,
    rows_i_others,
    rows_i_place,
    rows_i_scale,
)
from .row import Elsewhere, Row

ROWS: list[Row | Elsewhere] = [
    *rows_i_kinds.ROWS,
    *rows_i_colours.ROWS,
    *rows_i_scale.ROWS,
    *rows_i_place.ROWS,
    *rows_i_others.ROWS,
    *rows_i_files.ROWS,
    *rows_i_broken.ROWS,
    *rows_i_names.ROWS,
]

LEFT_OUT: dict[str, str] = {}
