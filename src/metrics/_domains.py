"""How well labels of spots agree."""

from typing import Any

import numpy as np
import pandas as pd

from .._errors import OptionError
from .._types import check_types


def domain_agreement(labels: Any, truth: Any) -> dict[str, float]:
    """Compare domains with a reference, whatever either calls them.

    Parameters
    ----------
    labels
        Domain of each spot (n,), missing where it has none.
    truth
        Reference (n,), missing where it has none.

    Returns
    -------
    ``ari``, the adjusted Rand index (Hubert and Arabie 1985): 1 the same, 0 as by chance; ``nmi``, the normalised
    mutual information; ``n``, spots that were compared; ``n_missing``, spots left out since either is missing.

    Raises
    ------
    OptionError
        Different lengths, or nothing to compare.

    Examples
    --------
    >>> hs.metrics.domain_agreement(["0", "0", "1"], ["a", "a", "b"])
    {'ari': 1.0, 'nmi': 1.0, 'n': 3, 'n_missing': 0}
    """
    check_types(domain_agreement, locals())
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    found, known = pd.Series(np.asarray(labels, dtype=object)), pd.Series(np.asarray(truth, dtype=object))
    if len(found) != len(known):
        fix = "Pass both for the same spots, in the same order."
        raise OptionError("labels", found=f"{len(found)} rows", expected=f"{len(known)}, as in truth", fix=fix)
    both = found.notna() & known.notna()
    if not both.any():
        fix = "Check that both are filled for some spot."
        raise OptionError("labels", found="no spot with both", expected="at least one", fix=fix)
    a, b = found[both].astype(str), known[both].astype(str)
    return {
        "ari": float(adjusted_rand_score(b, a)),
        "nmi": float(normalized_mutual_info_score(b, a)),
        "n": int(both.sum()),
        "n_missing": int((~both).sum()),
    }
