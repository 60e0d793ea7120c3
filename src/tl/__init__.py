"""Learn and infer: encode, fuse, embed, find domains."""

from .._attribution import Attribution
from ._attribute import attribute
from ._domains_gmm import domains_gmm
from ._domains_leiden import domains_leiden
from ._embed import embed
from ._encode_genes import encode_genes, fit_pca
from ._encode_image import encode_image
from ._expression_probe import expression_probe
from ._fuse import fuse
from ._linear_probe import linear_probe
from ._pretrain_genes import pretrain_genes
from ._retrieve import retrieve

__all__ = [
    "Attribution",
    "attribute",
    "domains_gmm",
    "domains_leiden",
    "embed",
    "encode_genes",
    "encode_image",
    "expression_probe",
    "fit_pca",
    "fuse",
    "linear_probe",
    "pretrain_genes",
    "retrieve",
]
