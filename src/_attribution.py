"""What of a spot pulls its image and its genes together: made by tl, drawn by pl."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ._errors import OptionError
from ._types import check_types

METHODS = ("occlusion", "gradient")


@dataclass(frozen=True, eq=False)
class Attribution:
    """Which pixels and which genes pull a spot's image and genes together; made by :func:`histoscribe.tl.attribute`.

    Numbers are in units of the cosine: what is positive pulls image and genes together, what is negative apart.

    Parameters
    ----------
    spot, section
        Names of the spot and of its section.
    cosine
        Of the spot's image and genes in the joint space.
    method
        ``"occlusion"`` or ``"gradient"``.
    tile
        The tile (h, w, 3), 8-bit RGB, as the encoder reads it.
    pixels
        Number of each square of the tile (rows, columns).
    genes
        Number of each gene, the largest first, be it positive or negative. The name of its index says what they are:
        ``"gene"``, or ``"column of X_genes"`` where no gene model was given.
    pixels_random, genes_random
        The same from the model with its weights drawn anew, genes in the order of ``genes``.
    agreement_with_random
        Rank correlation of either pair, under ``"pixels"`` and ``"genes"``: near 1 or -1 the map shows what the tile or
        the spot is like, not what the model learned. NaN where one of the two is constant.
    """

    spot: str
    section: str
    cosine: float
    method: str
    tile: NDArray[np.uint8]
    pixels: NDArray[np.float64]
    genes: pd.Series
    pixels_random: NDArray[np.float64]
    genes_random: pd.Series
    agreement_with_random: Mapping[str, float]

    def __post_init__(self) -> None:
        check_types(Attribution, vars(self))
        rgb = self.tile.ndim == 3 and self.tile.shape[2] == 3 and self.tile.dtype == np.uint8
        squares = self.pixels.ndim == 2 and self.pixels.size > 0
        sound = {
            "cosine": (np.isfinite(self.cosine), self.cosine, "a finite number"),
            "method": (self.method in METHODS, repr(self.method), f"one of {METHODS}"),
            "tile": (rgb, f"shape {self.tile.shape}, {self.tile.dtype}", "8-bit RGB (h, w, 3)"),
            "pixels": (squares, f"shape {self.pixels.shape}", "squares (rows, columns)"),
            "pixels_random": (
                self.pixels_random.shape == self.pixels.shape,
                f"shape {self.pixels_random.shape}",
                f"{self.pixels.shape}, as pixels",
            ),
            "genes_random": (
                self.genes_random.index.equals(self.genes.index),
                f"{len(self.genes_random)} others",
                "the genes of genes",
            ),
        }
        for name, (ok, found, expected) in sound.items():
            if not ok:
                fix = "Pass what hs.tl.attribute returned."
                raise OptionError(f"Attribution.{name}", found=found, expected=expected, fix=fix)

    def __repr__(self) -> str:
        rows, columns = self.pixels.shape
        return (
            f"Attribution(spot {self.spot!r} of {self.section!r}: cosine {self.cosine:.3f}, {self.method} of "
            f"{rows} x {columns} squares; {len(self.genes):,} parts, each a {self.genes.index.name or 'gene'})"
        )
