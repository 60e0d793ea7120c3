"""Rows of the catalogue: AnnData."""

from . import (
    rows_a_containers,
    rows_a_counts,
    rows_a_coverage,
    rows_a_empty,
    rows_a_genes,
    rows_a_positions,
    rows_a_sections,
    rows_a_spots,
)
from .row import Elsewhere, Row

_PARTS = (
    rows_a_counts,
    rows_a_empty,
    rows_a_containers,
    rows_a_genes,
    rows_a_coverage,
    rows_a_positions,
    rows_a_sections,
    rows_a_spots,
)
ROWS: list[Row | Elsewhere] = [row for part in _PARTS for row in part.ROWS]

LEFT_OUT: dict[str, str] = {}
