"""Gene encoders."""

from ._gene_encoder import GeneEncoder
from ._pca import PCA

__all__ = ["PCA", "GeneEncoder"]
