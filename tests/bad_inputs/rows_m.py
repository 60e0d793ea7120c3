"""Rows of the catalogue: models and weights."""

from . import rows_m_described, rows_m_names, rows_m_running, rows_m_weights
from .row import Elsewhere, Row

ROWS: list[Row | Elsewhere] = [
    *rows_m_names.ROWS,
    *rows_m_weights.ROWS,
    *rows_m_described.ROWS,
    *rows_m_running.ROWS,
]

LEFT_OUT: dict[str, str] = {
    "M23": "An Apple GPU is needed to try it and none was at hand; nothing is promised for MPS until it is measured.",
}
