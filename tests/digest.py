"""A hash of everything that an AnnData, or a value in it, holds."""

import hashlib
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

_PLACES = ("layers", "obsm", "obsp", "varm", "varp")


def digest(value: Any) -> str:
    """Hash of a value: two have the same only where type, shape and bytes agree."""
    if isinstance(value, AnnData):
        parts = {"X": value.X, "obs": value.obs, "var": value.var, "uns": dict(value.uns)}
        return digest(parts | {where: dict(getattr(value, where)) for where in _PLACES})
    if isinstance(value, dict):
        keys = sorted(key for key in value if key is not None)  # anndata 0.13 lists X among the layers, under None
        return "".join(f"{key}:{digest(value[key])};" for key in keys)
    if isinstance(value, list | tuple):
        return "".join(f"{digest(item)}," for item in value)
    if isinstance(value, pd.DataFrame | pd.Series):
        return digest(value.to_csv()) + str(getattr(value, "dtypes", ""))
    if sp.issparse(value):
        kept = value.tocsr()
        return value.format + digest([kept.data, kept.indices, kept.indptr])
    if isinstance(value, np.ndarray) and value.dtype != object:
        return hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest() + str(
            (value.shape, value.dtype.newbyteorder("=") if value.dtype.isnative else value.dtype)
        )
    return hashlib.sha256(repr(value).encode()).hexdigest()
