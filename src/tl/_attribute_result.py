"""What an attribution says: numbers in order, and how like those of random weights they are."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor

from .._attribution import Attribution
from .._warn import warn
from ..nn.image._squares import Squares
from ._attribute_genes import Genes
from ._attribute_image import Place

_ALIKE, _LEAST = 0.8, 16  # rank correlation with random weights, and numbers below which chance gives as much


def attribution(
    place: Place,
    cosine: float,
    method: str,
    squares: Squares,
    genes: Genes,
    found: tuple[Tensor, Tensor],
    random: tuple[Tensor, Tensor],
) -> Attribution:
    """Put together what was found, by the model and by random weights, of pixels and of genes."""
    shape = (squares.n, squares.n)
    pixels, pixels_random = (one[0].numpy().reshape(shape) for one in (found, random))
    series = genes.series(found[1])
    order = np.lexsort((series.index, -series.abs()))  # of equal size: by name, whatever the order of the genes
    series = series.iloc[order]
    series_random = genes.series(random[1]).iloc[order]
    agreement = {"pixels": _agreement(pixels, pixels_random), "genes": _agreement(series, series_random)}
    _warn_if_alike(
        {name: agreement[name] for name, n in (("pixels", pixels.size), ("genes", len(series))) if n >= _LEAST}
    )
    return Attribution(
        place.spot,
        place.section,
        cosine,
        method,
        squares.tile,
        pixels,
        series,
        pixels_random,
        series_random,
        agreement,
    )


def _agreement(found: NDArray[np.float64] | pd.Series, random: NDArray[np.float64] | pd.Series) -> float:
    """Rank correlation; NaN where one is constant."""
    a, b = np.ravel(found), np.ravel(random)
    if min(len(a), len(b)) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def _warn_if_alike(agreement: dict[str, float]) -> None:
    alike = [f"{name} {value:.2f}" for name, value in agreement.items() if abs(value) > _ALIKE]
    if alike:
        msg = (
            f"attribution is much like that of random weights (rank correlation of {', '.join(alike)}): it shows what "
            "tile or genes are like rather than what the model learned; see whether another random_state says the same"
        )
        warn(msg)
