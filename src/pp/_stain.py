"""The stain of a slide: how haematoxylin and eosin look on it, or which colours it has."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from .._errors import OptionError
from .._types import check_types

_Three = tuple[float, float, float]

METHODS = ("macenko", "reinhard")


@dataclass(frozen=True)
class Stain:
    """What :func:`fit_stain` learns of a slide's colours. Plain numbers; two are equal if all numbers are.

    Parameters
    ----------
    method
        ``"macenko"`` or ``"reinhard"``.
    background
        Red, green and blue of unstained glass: optical density is 0 there.
    n_pixels
        Number of stained pixels that it was fitted on.
    degenerate
        Whether the pixels did not hold two stains that can be told apart: the numbers are then those of the standard
        stain, and :func:`normalize_stain` changes nothing.
    vectors
        Macenko: red, green and blue (3 rows) of the optical density of haematoxylin and eosin (2 columns), unit length.
    amounts
        Macenko: 99th percentile of the amount of haematoxylin and eosin in a pixel, in units of optical density
        (natural logarithm).
    mean, std
        Reinhard: mean and standard deviation of l, alpha and beta of Ruderman's colour space (natural logarithm).

    Examples
    --------
    >>> stain = hs.pp.fit_stain(adata)
    >>> stain.vectors, stain.sha256
    """

    method: str
    background: _Three
    n_pixels: int
    degenerate: bool = False
    vectors: tuple[tuple[float, float], ...] | None = None
    amounts: tuple[float, float] | None = None
    mean: _Three | None = None
    std: _Three | None = None

    def __post_init__(self) -> None:
        check_types(Stain, vars(self))
        shapes = {"vectors": (3, 2), "amounts": (2,)} if self.method == "macenko" else {"mean": (3,), "std": (3,)}
        for name, shape in {"background": (3,), **shapes}.items():
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if self.method not in METHODS or value.shape != shape or not np.isfinite(value).all():
                found = f"{self.method!r} with {name} {getattr(self, name)!r}"
                expected = f"one of {list(METHODS)}, {name} of shape {shape}"
                raise OptionError(f"Stain.{name}", found=found, expected=expected, fix="Make it with hs.pp.fit_stain.")

    @cached_property
    def sha256(self) -> str:
        """Hash of all numbers, for what depends on them."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def made(method: str, background: Any, n_pixels: int, values: tuple[Any, Any] | None) -> Stain:
    """Put what a fit returned into a Stain; the standard's numbers, marked, where it returned nothing."""
    names = ("vectors", "amounts") if method == "macenko" else ("mean", "std")
    if values is None:
        plain = {name: getattr(STANDARD[method], name) for name in names}
    else:
        plain = {name: _tuples(np.asarray(value).tolist()) for name, value in zip(names, values, strict=True)}
    light = tuple(float(v) for v in background)
    return Stain(method, light, n_pixels, degenerate=values is None, **plain)  # type: ignore[arg-type]


def _tuples(value: Any) -> Any:
    # Eight digits: the last ones depend on the order in which the machine adds up, and so would the hash.
    return tuple(map(_tuples, value)) if isinstance(value, list) else float(f"{value:.8g}")


_WHITE = (255.0, 255.0, 255.0)

# Macenko: the vectors and amounts of the authors' reference image, in use in most implementations since.
# Reinhard: TCGA-A2-A3XS-DX1, the reference of Amgad et al. 2019 (doi:10.1093/bioinformatics/btz083) and HistomicsTK.
STANDARD = {
    "macenko": Stain(
        "macenko", _WHITE, 0, vectors=((0.5626, 0.2159), (0.7201, 0.8012), (0.4062, 0.5581)), amounts=(1.9705, 1.0308)
    ),
    "reinhard": Stain(
        "reinhard", _WHITE, 0, mean=(8.74108109, -0.12440419, 0.0444982), std=(0.6135447, 0.10989545, 0.0286032)
    ),
}
