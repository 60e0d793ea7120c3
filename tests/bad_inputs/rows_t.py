"""Rows of the catalogue: training."""

from . import rows_t_attribution, rows_t_genes, rows_t_options, rows_t_probes, rows_t_training
from .row import Elsewhere, Row

ROWS: list[Row | Elsewhere] = [
    *rows_t_training.ROWS,
    *rows_t_probes.ROWS,
    *rows_t_options.ROWS,
    *rows_t_genes.ROWS,
    *rows_t_attribution.ROWS,
]

LEFT_OUT: dict[str, str] = {}
