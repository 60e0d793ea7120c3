"""Measures of agreement, retrieval and prediction: numpy in, numbers out."""

from ._domains import domain_agreement
from ._embedding import effective_rank
from ._expression import pearson_per_gene
from ._retrieval import recall_at_k

__all__ = ["domain_agreement", "effective_rank", "pearson_per_gene", "recall_at_k"]
