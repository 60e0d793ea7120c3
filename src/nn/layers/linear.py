"""Linear maps fitted in closed form, held as buffers so that they are saved with the weights."""

import numpy as np
import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Centre and scale by training statistics.

    Parameters
    ----------
    n_features
        Width.
    per_feature
        Whether each feature gets its own scale. Statistics of a tile come in different units and need that; the
        coordinates of one space (principal components, most of all) share a unit, and a scale of their own would blow
        the noise of the last ones up to the size of the first.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, n_features: int, *, per_feature: bool) -> None:
        super().__init__()
        self.per_feature = per_feature
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))

    def fit(self, x: Tensor) -> None:
        """Take mean and scale from rows."""
        variance, mean = torch.var_mean(x.double(), dim=0, correction=0)
        if not self.per_feature:
            variance = variance.mean().expand_as(variance)
        # A constant feature stays zero instead of becoming rounding noise of size one.
        constant = variance <= 1e-12 * (1 + mean.square())
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(constant, float("inf"), variance.sqrt()))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return (x - self.mean) / self.scale


class Whiten(nn.Module):
    """PCA whitening on the leading components."""

    mean: Tensor
    map: Tensor

    def __init__(self, n_features: int, n_comps: int, mode: str = "shrink") -> None:
        super().__init__()
        self.mode = mode
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("map", torch.zeros(n_features, min(n_features, n_comps)))

    def fit(self, x: Tensor) -> None:
        x = x.double()
        mean = x.mean(0)
        _, s, vt = torch.linalg.svd(x - mean, full_matrices=False)
        lam = s.square() / len(x)
        k = self.map.shape[1]
        lam = torch.nn.functional.pad(lam[:k], (0, max(0, k - len(lam))))
        vt = vt[:k]
        if self.mode == "full":
            w = 1 / lam.clamp(min=1e-9 * lam[0]).sqrt()
        elif self.mode == "keep95":
            total = s.square().sum() / len(x)
            keep = (lam.cumsum(0) - lam) < 0.95 * total
            w = keep / lam.clamp(min=1e-9 * lam[0]).sqrt()
        elif self.mode == "whole":
            w = torch.ones_like(lam)
        elif self.mode == "root":
            w = lam.clamp(min=1e-9 * lam[0]) ** -0.25
        elif self.mode.startswith("shrink"):
            a = float(self.mode[6:] or 0.1)
            w = 1 / (lam + a * lam[0]).sqrt()
        elif self.mode == "keep95root":
            total = s.square().sum() / len(x)
            keep = (lam.cumsum(0) - lam) < 0.95 * total
            w = keep * lam.clamp(min=1e-9 * lam[0]) ** -0.25
        m = torch.zeros(x.shape[1], k, dtype=torch.float64)
        m[:, : len(vt)] = vt.T * w[: len(vt)]
        self.mean.copy_(mean)
        self.map.copy_(m)
        size = ((x - mean) @ m).norm(dim=1).median()
        self.map.div_(size)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) @ self.map


class Ridge(nn.Module):
    """Ridge regression; its penalty is chosen by leave-one-out error (Golub, Heath and Wahba 1979)."""

    weight: Tensor
    bias: Tensor

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(n_in, n_out))
        self.register_buffer("bias", torch.zeros(n_out))

    def fit(self, x: Tensor, y: Tensor) -> None:
        """Fit ``y`` (n, n_out) on ``x`` (n, n_in)."""
        from sklearn.linear_model import RidgeCV

        x, y = x.double().cpu().numpy(), y.double().cpu().numpy()
        fitted = RidgeCV(alphas=np.logspace(-3, 4, 15) * max(float(x.var(0).sum()), 1e-12)).fit(x, y)
        self.weight.copy_(torch.from_numpy(fitted.coef_.reshape(y.shape[1], -1).T))
        self.bias.copy_(torch.from_numpy(np.broadcast_to(fitted.intercept_, (y.shape[1],)).copy()))

    def forward(self, x: Tensor) -> Tensor:
        """Predict."""
        return x @ self.weight + self.bias
