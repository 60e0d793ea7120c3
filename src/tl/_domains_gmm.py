"""Tissue domains as a Gaussian mixture."""

import numpy as np
from anndata import AnnData
from numpy.typing import NDArray

from .._keys import Keys
from .._record import AnnDatas, Targets
from .._types import check_types
from ._domains import Labels, by_content, check_count, stacked, written


def domains_gmm(
    adata: AnnDatas,
    n_domains: int,
    *,
    use_rep: str = Keys.X_FUSED,
    n_comps: int = 15,
    n_init: int = 10,
    random_state: int = 0,
    key_added: str = Keys.DOMAIN,
    copy: bool = False,
) -> AnnData | list[AnnData] | None:
    """Find tissue domains by a Gaussian mixture with one shared covariance, on the leading components of vectors.

    All domains share one covariance, which does not mind how directions are scaled.

    Sections, in one AnnData or a list, are clustered together: a label means the same in all of them.

    Parameters
    ----------
    adata
        A section, or a list of them.
    n_domains
        Number of domains.
    use_rep
        Slot with the vectors.
    n_comps
        Most principal components of the vectors that the mixture sees.
    n_init
        Starts, of which the likeliest is kept.
    random_state
        Seed.
    key_added
        Slot to write.
    copy
        Return a copy instead of writing in place.

    Returns
    -------
    None, or the copy. Writes ``obs["domain"]``, categories ``"0"``, ``"1"``, ... from the largest domain down; missing
    where the vectors are not valid.

    Raises
    ------
    MissingError
        No vectors.
    OptionError
        A value that is not allowed, or more domains than spots.

    Examples
    --------
    >>> hs.tl.domains_gmm(adata, 6)
    """
    check_types(domains_gmm, locals())
    targets = Targets(adata, copy=copy)
    slot = Keys.X_FUSED.renamed(use_rep)
    x, ok = stacked(list(targets), slot)
    for name, value in (("n_domains", n_domains), ("n_comps", n_comps), ("n_init", n_init)):
        check_count(name, value, 1, len(x) if name == "n_domains" else None)
    labels = _mixture(x, n_domains, n_comps, n_init, random_state)
    params = {"n_domains": n_domains, "use_rep": use_rep, "n_comps": n_comps, "n_init": n_init}
    params["random_state"] = random_state
    return written(targets, labels, ok, key_added, by="tl.domains_gmm", params=params, inputs=[slot])


def _mixture(x: NDArray[np.float64], n_domains: int, n_comps: int, n_init: int, random_state: int) -> Labels:
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    order = by_content(x)
    reduced = PCA(min(n_comps, *x.shape), svd_solver="full").fit_transform(x[order])
    reduced /= reduced[:, 0].std() or 1.0  # the mixture's floor on variances is absolute
    model = GaussianMixture(n_domains, covariance_type="tied", n_init=n_init, random_state=random_state)
    labels = np.empty(len(x), dtype=np.int64)
    labels[order] = model.fit_predict(reduced)
    return labels
