"""Prepare: registration, tiles, stain, tokens, pathway scores and the neighbour graph of a section. Needs no torch."""

from .._pathway_scale import PathwayScale
from .._vocabulary import Vocabulary
from ._affine import align_affine, fit_affine
from ._fit_stain import fit_stain
from ._graph import spatial_graph
from ._normalize_stain import normalize_stain
from ._pathway_scale import fit_pathway_scale
from ._pathways import score_pathways
from ._registration import check_registration
from ._stain import Stain
from ._tiles import tile
from ._tissue_mask import tissue_mask
from ._tokens import tokenize_genes
from ._vocabulary import fit_vocabulary

__all__ = [
    "PathwayScale",
    "Stain",
    "Vocabulary",
    "align_affine",
    "check_registration",
    "fit_affine",
    "fit_pathway_scale",
    "fit_stain",
    "fit_vocabulary",
    "normalize_stain",
    "score_pathways",
    "spatial_graph",
    "tile",
    "tissue_mask",
    "tokenize_genes",
]
