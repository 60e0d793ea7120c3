"""Limits of the colours of numbers: robust, unless the user says otherwise."""

import re
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
from matplotlib.colors import Colormap
from numpy.typing import NDArray

from .._errors import OptionError
from ._colors import colormap

Bound: TypeAlias = float | str  # a number, or a percentile as scanpy writes it: "p99"

_ROBUST = (1.0, 99.0)  # percentiles
_PERCENTILE = re.compile(r"p(\d+\.?\d*|\.\d+)")


@dataclass(frozen=True, kw_only=True)
class Numeric:
    """What a user may say about the colours of numbers; None leaves it to the values."""

    cmap: str | Colormap | None = None
    vmin: Bound | None = None
    vmax: Bound | None = None
    vcenter: Bound | None = None

    def check(self) -> None:
        """Raise where a limit is neither number nor percentile, or there is no such colour map."""
        if self.cmap is not None:
            colormap(self.cmap)
        for name in ("vmin", "vmax", "vcenter"):
            value = getattr(self, name)
            if value is not None and not _is_bound(value):
                expected = "a finite number, or a percentile 'p0' to 'p100'"
                raise OptionError(name, found=repr(value), expected=expected, fix="Leave it out.")


def limits(values: NDArray[np.float64], how: Numeric) -> tuple[float, float, float | None]:
    """Lower and upper limit, and the centre where the values lie on both sides of one.

    Limits that are not given are the 1st and 99th percentile, symmetric around a centre.
    """
    vmin, vmax, vcenter = (_number(bound, values) for bound in (how.vmin, how.vmax, how.vcenter))
    low, high = _robust(values)
    signed = low < 0 < high and (vmin is None or vmin < 0) and (vmax is None or vmax > 0)
    middle = vcenter if vcenter is not None else 0.0 if signed else None
    if middle is not None:
        half = max(abs(low - middle), abs(high - middle)) or 1.0
        low, high = middle - half, middle + half
    elif low == high:
        low, high = _around(low)
    own = low, high
    low, high = (given if given is not None else own for given, own in ((vmin, low), (vmax, high)))
    if low == high:  # percentiles of a gene that few spots express
        low = own[0] if isinstance(how.vmin, str) else low
        high = own[1] if isinstance(how.vmax, str) else high
    if low >= high or not (middle is None or low < middle < high):
        found = f"vmin={low:g}, vmax={high:g}" + ("" if middle is None else f", vcenter={middle:g}")
        fix = "Leave one of them out: the others default to the 1st and 99th percentile."
        raise OptionError("vmin, vmax", found=found, expected="vmin < vcenter < vmax", fix=fix)
    return low, high, middle


def is_constant(values: NDArray[np.float64], how: Numeric) -> bool:
    """Whether there is one value only, and the user doesn't say between which limits."""
    return bool(values.min() == values.max()) and how.vmin is None and how.vmax is None and how.vcenter is None


def _robust(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.percentile(values, _ROBUST)
    if low == high:  # a gene that few spots express
        low, high = values.min(), values.max()
    return float(low), float(high)


def _around(constant: float) -> tuple[float, float]:
    """Limits that give a constant the middle colour, as it is neither low nor high; and 0 the lowest."""
    return (constant - abs(constant) / 2, constant + abs(constant) / 2) if constant != 0 else (0.0, 1.0)


def _is_bound(value: Any) -> bool:
    if isinstance(value, str):
        match = _PERCENTILE.fullmatch(value)
        return match is not None and float(match[1]) <= 100
    return isinstance(value, Real) and bool(np.isfinite(float(value)))


def _number(bound: Bound | None, values: NDArray[np.float64]) -> float | None:
    return float(np.percentile(values, float(bound[1:]))) if isinstance(bound, str) else bound
