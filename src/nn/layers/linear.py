"""Linear maps fitted in closed form, held as buffers so that they are saved with the weights."""

import numpy as np
import torch
from torch import Tensor, nn


class Standardise(nn.Module):
    """Centre and scale by training statistics; what is missing (NaN) stands at the mean of its feature.

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
        x = x.double()
        if x.isnan().any():
            mean = x.nanmean(0)
            variance = (x - mean).square().nanmean(0)
        else:
            variance, mean = torch.var_mean(x, dim=0, correction=0)
        if not self.per_feature:
            variance = variance.nanmean().expand_as(variance)
        # A constant feature stays zero instead of becoming rounding noise of size one; so does one never seen.
        constant = (variance <= 1e-12 * (1 + mean.square())) | mean.isnan()
        self.mean.copy_(mean.nan_to_num(0.0))
        self.scale.copy_(torch.where(constant, float("inf"), variance.sqrt()))

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
        return torch.where(x.isnan(), 0, (x - self.mean) / self.scale)


class Whiten(nn.Module):
    """PCA whitening with shrinkage and without the noise, scaled to a typical length of one.

    Component j, of variance λ_j, is divided by √(λ_j + λ_1) and multiplied by √(1 - σ²/λ_j), where the noise σ² is the
    median of the variances. Components that rise above the noise get alike weight, the others none. Plain whitening
    gives noise the same weight as signal, and domains that are split between image and genes are then not found
    (``benchmarks/whitening.py`` compares the ways).

    Parameters
    ----------
    n_features
        Width of the input.
    n_comps
        Most components kept.
    """

    mean: Tensor
    map: Tensor
    shrinkage: float = 1.0
    least_for_noise: float = 20  # with fewer components there is no bulk to take the noise from

    def __init__(self, n_features: int, n_comps: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("map", torch.zeros(n_features, min(n_features, n_comps)))

    def fit(self, x: Tensor) -> None:
        """Take components and their variances from rows."""
        x = x.double()
        mean = x.mean(0)
        _, s, axes = torch.linalg.svd(x - mean, full_matrices=False)  # min(n, d); min(n, d) d
        n = min(self.map.shape[1], len(s))  # fewer rows than features: the rest stays zero
        sign = torch.sign(axes.gather(1, axes.abs().argmax(1, keepdim=True)))
        variance = s.square() / len(x)
        noise = variance.median() if len(variance) >= self.least_for_noise else 0.0
        signal = (1 - noise / variance).nan_to_num(0.0).clamp(min=0)
        weight = (signal / (variance + self.shrinkage * variance[0])).sqrt()
        scaled = (axes * sign * weight[:, None])[:n].T
        length = ((x - mean) @ scaled).norm(dim=1).median()
        self.mean.copy_(mean)
        self.map.zero_()[:, :n] = (scaled / length).nan_to_num(0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Apply it."""
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

        inputs, targets = x.double().cpu().numpy(), y.double().cpu().numpy()
        fitted = RidgeCV(alphas=np.logspace(-3, 4, 15) * max(float(inputs.var(0).sum()), 1e-12)).fit(inputs, targets)
        self.weight.copy_(torch.from_numpy(fitted.coef_.reshape(y.shape[1], -1).T))
        self.bias.copy_(torch.from_numpy(np.broadcast_to(fitted.intercept_, (y.shape[1],)).copy()))

    def forward(self, x: Tensor) -> Tensor:
        """Predict."""
        return x @ self.weight + self.bias
