"""Measures of agreement, retrieval and prediction: numpy in, numbers out."""

from ._domains import domain_agreement
from ._embedding import effective_rank
from ._expression import pearson_per_gene, spearman_per_gene
from ._moran import moran_agreement, morans_i
from ._overlap import top_k_overlap
from ._retrieval import recall_at_k
from ._spread import block_bootstrap, compare_patients
from ._summary import summarize_expression

__all__ = [
    "block_bootstrap",
    "compare_patients",
    "domain_agreement",
    "effective_rank",
    "moran_agreement",
    "morans_i",
    "pearson_per_gene",
    "recall_at_k",
    "spearman_per_gene",
    "summarize_expression",
    "top_k_overlap",
]
