"""What can be said of vectors without a reference."""

from typing import Any

import numpy as np

from .._checks import numbers
from .._errors import OptionError
from .._types import check_types


def effective_rank(x: Any) -> float:
    """Count the dimensions that vectors really use: exp of the entropy of their singular values' shares.

    Roy and Vetterli 2007. Columns are centred first, so that a common offset counts for nothing; vectors that are all
    the same have rank 0.

    Parameters
    ----------
    x
        Vectors (n, d).

    Raises
    ------
    OptionError
        Not a finite matrix.

    Examples
    --------
    >>> hs.metrics.effective_rank(adata.obsm["X_fused"])
    """
    check_types(effective_rank, locals())
    x = numbers("x", x)
    if x.ndim != 2 or x.size == 0 or not np.isfinite(x).all():
        fix = "Pass the valid rows of a slot of vectors."
        raise OptionError("x", found=f"shape {x.shape}, or NaN", expected="finite vectors (n, d)", fix=fix)
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    values = values[values > max(x.shape) * np.finfo(np.float64).eps * np.abs(x).max()]
    share = values / values.sum()
    return float(np.exp(-(share * np.log(share)).sum())) if len(values) else 0.0
