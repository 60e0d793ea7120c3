"""Rows of the catalogue: gene sets."""

from . import rows_g_files, rows_g_sets
from .row import Elsewhere, Row

ROWS: list[Row | Elsewhere] = [*rows_g_files.ROWS, *rows_g_sets.ROWS]

LEFT_OUT: dict[str, str] = {}
