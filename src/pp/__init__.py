"""Prepare: tiles, tokens, pathway scores and the neighbour graph of a section. Needs no torch."""

from ._graph import spatial_graph
from ._pathways import score_pathways
from ._tiles import tile
from ._tokens import tokenize_genes
from ._vocabulary import fit_vocabulary

__all__ = ["fit_vocabulary", "score_pathways", "spatial_graph", "tile", "tokenize_genes"]
