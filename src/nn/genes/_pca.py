"""Principal components of genes: the gene encoder that needs no training."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..._checks import check, is_count, to_python
from ..._errors import OptionError
from ..._expression import log_cp10k


@dataclass(frozen=True, kw_only=True)
class PCA:
    """Options of principal component analysis.

    Parameters
    ----------
    n_comps
        Number of components.
    centre
        Whether each gene's mean is subtracted; without, it is a truncated singular value decomposition.

    Raises
    ------
    OptionError
        A value that is not allowed, naming the field.

    Examples
    --------
    >>> hs.nn.PCA(n_comps=30)
    PCA(n_comps=30, centre=True)
    """

    n_comps: int = 50
    centre: bool = True

    def __post_init__(self) -> None:
        to_python(self)
        check("PCA.n_comps", self.n_comps, is_count(self.n_comps), "a whole number, 1 or more")
        check("PCA.centre", self.centre, isinstance(self.centre, bool), "True or False")

    def build(self, sizes: Mapping[str, int]) -> "PCAModule":
        """Make the module for this many ``genes``."""
        return PCAModule(self, sizes["genes"])


class PCAModule(nn.Module):
    """The module that :class:`PCA` describes."""

    mean: Tensor
    components: Tensor

    def __init__(self, config: PCA, n_genes: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("mean", torch.zeros(n_genes))
        self.register_buffer("components", torch.zeros(config.n_comps, n_genes))

    def fit(self, counts: sp.csr_matrix, *, random_state: int = 0) -> None:
        """Find the components of log1p CP10k; the sparse matrix is centred without being made dense.

        Raises
        ------
        OptionError
            More components than spots and genes allow.
        """
        from sklearn.decomposition import PCA as Exact
        from sklearn.decomposition import TruncatedSVD

        most = min(counts.shape) - 1
        if most < 1:
            found = f"{counts.shape[0]} spots with counts of {counts.shape[1]} genes"
            raise OptionError("counts", found=found, expected="2 or more of each", fix="Fit on more sections.")
        if self.config.n_comps > most:
            fix = f"Pass n_comps={most} or fewer."
            raise OptionError("n_comps", found=self.config.n_comps, expected=f"at most {most} here", fix=fix)
        x = log_cp10k(counts)
        n, seed = self.config.n_comps, random_state
        solver = Exact(n, svd_solver="arpack", random_state=seed) if self.config.centre else None
        solver = solver or TruncatedSVD(n, algorithm="arpack", random_state=seed)
        components = solver.fit(x).components_
        self.mean.copy_(torch.from_numpy(np.asarray(x.mean(axis=0)).ravel()))
        self.components.copy_(torch.from_numpy(_signed(components)))

    def transform(self, counts: sp.csr_matrix, present: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Project spots on the components.

        Parameters
        ----------
        counts
            Raw counts (n, genes of the model).
        present
            Genes (n_genes,) that were measured at all; the others count as their training mean.
        """
        mean, components = self.mean.double().cpu().numpy(), self.components.double().cpu().numpy()
        offset = -(components @ mean) if self.config.centre else np.zeros(len(components))
        if present is not None:
            offset = offset + components[:, ~present] @ mean[~present]
        return np.asarray(log_cp10k(counts) @ components.T + offset, dtype=np.float32)


def _signed(components: NDArray[np.floating]) -> NDArray[np.floating]:
    """Components with their largest entry positive: the sign is arbitrary, and solvers differ in it."""
    largest = np.abs(components).argmax(axis=1)
    return components * np.sign(components[np.arange(len(components)), largest])[:, None]
